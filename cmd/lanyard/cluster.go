package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
)

const clusterVersion = "2026-07-01"

// cluster is an attached cluster as the management API shows it.
type cluster struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		Version string `json:"kubernetesVersion"`
		OIDC    struct {
			Enabled bool   `json:"enabled"`
			URL     string `json:"issuerURL,omitempty"`
		} `json:"oidcIssuerProfile"`
		Security struct {
			WorkloadIdentity struct {
				Enabled bool `json:"enabled"`
			} `json:"workloadIdentity"`
		} `json:"securityProfile"`
		Attachment struct {
			Server string `json:"server"`
			Issuer string `json:"issuer"`
		} `json:"attachment"`
	} `json:"properties"`
}

func clusterTable(all ...cluster) table {
	t := table{head: []string{"NAME", "SERVER", "VERSION", "ISSUER", "ACCEPTED", "WORKLOAD IDENTITY"}}
	for _, k := range all {
		accepted, wanted := "no", "off"
		if k.Properties.OIDC.Enabled {
			accepted = "yes"
		}
		if k.Properties.Security.WorkloadIdentity.Enabled {
			wanted = "on"
		}
		t.rows = append(t.rows, []string{
			k.Name, k.Properties.Attachment.Server, k.Properties.Version, k.Properties.Attachment.Issuer, accepted, wanted,
		})
	}
	return t
}

func (t target) clusterID(c *client.Client, name string) string {
	return t.groupID(c) + "/providers/Microsoft.ContainerService/managedClusters/" + url.PathEscape(name)
}

func newClusterCmd(a *app) *cobra.Command {
	var t target
	cmd := noun("cluster", "Attached clusters: whose service accounts can be trusted", []string{"clusters"})
	addTarget(cmd.PersistentFlags(), &t)

	show := &cobra.Command{
		Use: "show NAME", Short: "Show a cluster", Args: cobra.ExactArgs(1),
		Example: `  lanyard cluster show akscluster -g lab -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var k cluster
			if err := c.ARM(cmd.Context(), "GET", t.clusterID(c, args[0]), clusterVersion, nil, &k); err != nil {
				return err
			}
			return a.print(k, clusterTable(k))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List all clusters", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			path := "/subscriptions/" + c.Subscription + "/providers/Microsoft.ContainerService/managedClusters"
			all, err := listAll[cluster](cmd.Context(), c, path, clusterVersion)
			if err != nil {
				return err
			}
			return a.print(all, clusterTable(all...))
		},
	}
	detach := &cobra.Command{
		Use: "detach NAME", Short: "Forget a cluster: its tokens are no longer accepted", Args: cobra.ExactArgs(1),
		Long: `Forget a cluster, its credentials and its issuer's keys. Nothing changes in the
cluster itself. Federated credentials that name its issuer stay, and accept nothing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return c.ARM(cmd.Context(), "DELETE", t.clusterID(c, args[0]), clusterVersion, nil, nil)
		},
	}
	cmd.AddCommand(newAttachCmd(a, &t), list, show, detach)
	return cmd
}

func newAttachCmd(a *app, t *target) *cobra.Command {
	var path, context string
	var issuer, identity bool
	cmd := &cobra.Command{
		Use: "attach NAME", Short: "Make a cluster known, or give the server new credentials for it",
		Long: `Make a Kubernetes cluster known to the server, as a managed cluster that az and
other clients can use. The server asks the cluster's API server for its issuer and
keys, and keeps the kubeconfig encrypted; az aks get-credentials returns it.

Attaching changes nothing in the cluster, and lets nobody in yet: its tokens are
accepted once its issuer is enabled, where a federated credential names them. The
user of the kubeconfig must be allowed to read /.well-known/openid-configuration
and /openid/v1/jwks (the role system:service-account-issuer-discovery).`,
		Example: `  lanyard cluster attach akscluster -g lab --kubeconfig ~/.kube/config
  lanyard cluster attach akscluster -g lab --context kind-dev --enable-oidc-issuer`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if path == "" {
				path = a.kubeconfigPath()
			}
			kubeconfig, err := readKubeconfig(path, context)
			if err != nil {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := t.ensure(cmd.Context(), c); err != nil {
				return err
			}
			return a.attach(cmd, c, t, args[0], kubeconfig, issuer, identity)
		},
	}
	f := cmd.Flags()
	f.StringVar(&path, "kubeconfig", "", "`file` (default $KUBECONFIG or ~/.kube/config)")
	f.StringVar(&context, "context", "", "`name` of the context (default the current one)")
	f.BoolVar(&issuer, "enable-oidc-issuer", false, "accept the tokens of its service accounts, as az aks update does")
	f.BoolVar(&identity, "enable-workload-identity", false, "record that the cluster is to have the webhook; needs --enable-oidc-issuer")
	return cmd
}

// attach makes the cluster, or changes its credentials: an existing one keeps its
// location and tags.
func (a *app) attach(cmd *cobra.Command, c *client.Client, t *target, name string, kubeconfig []byte, issuer, identity bool) error {
	id := t.clusterID(c, name)
	var k cluster
	err := c.ARM(cmd.Context(), "GET", id, clusterVersion, nil, &k)
	if err != nil && !client.IsNotFound(err) {
		return err
	}
	if k.Location == "" {
		var group struct {
			Location string `json:"location"`
		}
		if err := c.ARM(cmd.Context(), "GET", t.groupID(c), groupsVersion, nil, &group); err != nil {
			return err
		}
		k.Location = group.Location
		if cmd.Flags().Changed("location") {
			k.Location = t.location
		}
	}
	properties := map[string]any{"attachment": map[string]any{"kubeconfig": kubeconfig}}
	if issuer {
		properties["oidcIssuerProfile"] = map[string]any{"enabled": true}
	}
	if identity {
		properties["securityProfile"] = map[string]any{"workloadIdentity": map[string]any{"enabled": true}}
	}
	body := map[string]any{"location": k.Location, "tags": k.Tags, "properties": properties}
	k = cluster{}
	if err := c.ARM(cmd.Context(), "PUT", id, clusterVersion, body, &k); err != nil {
		return err
	}
	if k.Properties.Security.WorkloadIdentity.Enabled {
		a.say("workload identity is recorded; this version does not install the webhook in the cluster")
	}
	if !k.Properties.OIDC.Enabled {
		a.say("its tokens are not accepted yet: az aks update -g %s -n %s --enable-oidc-issuer", t.group, name)
	}
	return a.print(k, clusterTable(k))
}
