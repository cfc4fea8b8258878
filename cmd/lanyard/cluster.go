package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
)

const clusterVersion = "2026-07-01"

// cluster is an attached cluster as the management API shows it.
type cluster struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		State   string `json:"provisioningState"`
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
			Server         string          `json:"server"`
			Issuer         string          `json:"issuer"`
			KeysRead       string          `json:"keysRead,omitempty"`
			KeysError      string          `json:"keysError,omitempty"`
			CredentialEnds string          `json:"credentialEnds,omitempty"`
			Attention      string          `json:"attention,omitempty"`
			Webhook        *clusterWebhook `json:"webhook,omitempty"`
		} `json:"attachment"`
	} `json:"properties"`
}

// clusterWebhook is how a cluster gets the webhook, and how that goes.
type clusterWebhook struct {
	Mode       string `json:"mode,omitempty"`
	URL        string `json:"url,omitempty"`
	Image      string `json:"image,omitempty"`
	PullPolicy string `json:"imagePullPolicy,omitempty"`
	HostAlias  string `json:"hostAlias,omitempty"`
	State      *struct {
		Mode      string `json:"mode,omitempty"`
		Installed bool   `json:"installed"`
		Answered  string `json:"answered,omitempty"`
		Error     string `json:"error,omitempty"`
		Note      string `json:"note,omitempty"`
	} `json:"state,omitempty"`
}

// describe is a cluster in full, a fact a line.
func (k cluster) describe(now time.Time) table {
	t := table{head: []string{"WHAT", "IS"}}
	add := func(what, is string) {
		if is != "" {
			t.rows = append(t.rows, []string{what, is})
		}
	}
	onOff := map[bool]string{true: "on", false: "off"}
	a := k.Properties.Attachment
	add("name", k.Name)
	add("state", k.Properties.State)
	add("api server", a.Server)
	add("version", k.Properties.Version)
	add("issuer", a.Issuer)
	add("oidc issuer", onOff[k.Properties.OIDC.Enabled])
	add("keys read", age(a.KeysRead, now))
	add("keys error", a.KeysError)
	add("credential ends", a.CredentialEnds)
	add("attention", a.Attention)
	add("workload identity", onOff[k.Properties.Security.WorkloadIdentity.Enabled])
	if a.Webhook == nil || a.Webhook.State == nil {
		return t
	}
	s := a.Webhook.State
	add("webhook", s.Mode)
	add("webhook url", a.Webhook.URL)
	add("webhook image", a.Webhook.Image)
	add("host alias", a.Webhook.HostAlias)
	add("installed", map[bool]string{true: "yes", false: "no"}[s.Installed])
	add("answered", age(s.Answered, now))
	add("note", s.Note)
	add("error", s.Error)
	return t
}

// age is how long ago a time of the management API was.
func age(at string, now time.Time) string {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return ""
	}
	return max(now.Sub(t), 0).Round(time.Second).String() + " ago"
}

func clusterTable(all ...cluster) table {
	t := table{head: []string{"NAME", "SERVER", "VERSION", "ISSUER", "ACCEPTED", "WORKLOAD IDENTITY"}}
	for _, k := range all {
		accepted, wanted := "no", "off"
		if k.Properties.OIDC.Enabled {
			accepted = "yes"
		}
		switch {
		case k.Properties.Attachment.KeysError != "":
			accepted = "no: its keys cannot be read"
		case k.Properties.OIDC.Enabled && k.Properties.Attachment.Attention != "":
			accepted += ", until " + k.Properties.Attachment.CredentialEnds
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

func (t target) clusterID(c *client.Client, name string) string { return t.id(c, clusterKind(), name) }

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
			k, _, err := find[cluster](cmd.Context(), c, t, clusterKind(), args[0])
			if err != nil {
				return err
			}
			return a.print(k, k.is.describe(time.Now()))
		},
	}
	list := &cobra.Command{
		Use: "list", Short: "List all clusters, or those of the group that -g names", Args: cobra.NoArgs,
		Example: `  lanyard cluster list
  lanyard cluster list -g lab`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all, err := listOf[cluster](cmd.Context(), c, t, clusterKind(), cmd.Flags().Changed("resource-group"))
			if err != nil {
				return err
			}
			for _, k := range parts(all) {
				if k.Properties.Attachment.Attention != "" {
					a.say("cluster %s: %s", k.Name, k.Properties.Attachment.Attention)
				}
			}
			return a.print(all, clusterTable(parts(all)...))
		},
	}
	var force bool
	detach := &cobra.Command{
		Use: "detach NAME", Short: "Forget a cluster: its tokens are no longer accepted", Args: cobra.ExactArgs(1),
		Long: `Forget a cluster, its credentials and its issuer's keys, after taking the webhook
out of it that was put there. Federated credentials that name its issuer stay, and
accept nothing.

A cluster that cannot be reached is not forgotten, because pods that ask for an
identity could not start in it any more; --force does it nevertheless.`,
		Example: `  lanyard cluster detach akscluster -g lab
  lanyard cluster detach akscluster -g lab --force   # it is gone, or out of reach`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			id := t.clusterID(c, args[0])
			if force {
				id += "?force=true"
			}
			found, err := c.Delete(cmd.Context(), id, clusterVersion)
			if err == nil && !found {
				err = t.missing(cmd.Context(), c, clusterKind(), args[0])
			}
			return err
		},
	}
	detach.Flags().BoolVar(&force, "force", false, "even when the webhook cannot be taken out of the cluster")
	cmd.AddCommand(newAttachCmd(a, &t), list, show, detach)
	return cmd
}

func newAttachCmd(a *app, t *target) *cobra.Command {
	var from kubeFlags
	var want attachment
	cmd := &cobra.Command{
		Use: "attach NAME", Short: "Make a cluster known, or give the server new credentials for it",
		Long: `Make a Kubernetes cluster known to the server, as a managed cluster that az and
other clients can use. The server asks the cluster's API server for its issuer and
keys, and keeps the kubeconfig encrypted; az aks get-credentials returns it.

Attaching changes nothing in the cluster, and lets nobody in yet: its tokens are
accepted once its issuer is enabled, where a federated credential names them. The
user of the kubeconfig must be allowed to read /.well-known/openid-configuration
and /openid/v1/jwks (the role system:service-account-issuer-discovery).

From then on the cluster's keys decide about its issuer, for service accounts only. If
federated credentials trust what that issuer itself publishes, the issuer is not enabled
unless --take-over-issuer says that it is this cluster's own: a cluster can claim any.

Once workload identity is enabled too, the server puts the admission webhook into
the cluster, in one of three ways. With url, the cluster's API server calls the
running server (lanyard up --webhook). With deployment, the webhook runs in the
cluster. With none, you see to it yourself. The default is the server's: url if it
has a webhook listener, deployment if it was started with --webhook-image.`,
		Example: `  lanyard cluster attach akscluster -g lab --kubeconfig ~/.kube/config
  lanyard cluster attach akscluster -g lab --context kind-dev --enable-oidc-issuer
  lanyard cluster attach akscluster -g lab --enable-oidc-issuer --enable-workload-identity \
      --webhook url --webhook-url https://172.18.0.1:7444 --host-alias 172.18.0.1
  lanyard cluster attach akscluster -g lab --webhook deployment --webhook-image registry.example.org/lanyard:1.0
  lanyard cluster attach akscluster -g lab --enable-oidc-issuer --take-over-issuer   # it was made anew`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kubeconfig, err := kube.ReadKubeconfig(a.kubeconfigPath(from), from.context)
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
			return a.attach(cmd, c, t, args[0], kubeconfig, want)
		},
	}
	from.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&want.issuer, "enable-oidc-issuer", false, "accept the tokens of its service accounts, as az aks update does")
	f.BoolVar(&want.takeOver, "take-over-issuer", false, "its keys decide even where credentials trust what its issuer publishes")
	f.BoolVar(&want.identity, "enable-workload-identity", false, "put the webhook into the cluster; needs --enable-oidc-issuer")
	f.StringVar(&want.mode, "webhook", "", "how the cluster gets the webhook: `url`, deployment or none")
	f.StringVar(&want.url, "webhook-url", "", "where its API server reaches the server's webhook listener, `https://HOST:PORT`")
	f.StringVar(&want.image, "webhook-image", "", "`image` of the webhook for --webhook deployment")
	f.StringVar(&want.pullPolicy, "webhook-image-pull-policy", "", "Always, IfNotPresent or Never")
	f.StringVar(&want.hostAlias, "host-alias", "", "`IP` of the server, for clusters whose pods cannot resolve its names")
	f.BoolVar(&want.replace, "replace-server", false, "take the kubeconfig's API server in place of the one that is attached under this name")
	_ = cmd.RegisterFlagCompletionFunc("webhook", cobra.FixedCompletions([]string{"url", "deployment", "none"}, cobra.ShellCompDirectiveNoFileComp)) // it fails only for a flag that is not there
	return cmd
}

// attachment is what attach asks for besides the kubeconfig.
type attachment struct {
	issuer, identity, takeOver              bool
	mode, url, image, pullPolicy, hostAlias string
	replace                                 bool // the API server's address too
}

// webhook is the settings that were given; one that was not stays as it is.
func (w attachment) webhook(changed func(flag string) bool) map[string]string {
	settings := map[string]string{}
	for _, s := range []struct{ flag, name, value string }{
		{"webhook", "mode", w.mode}, {"webhook-url", "url", w.url}, {"webhook-image", "image", w.image},
		{"webhook-image-pull-policy", "imagePullPolicy", w.pullPolicy}, {"host-alias", "hostAlias", w.hostAlias},
	} {
		if changed(s.flag) {
			settings[s.name] = s.value
		}
	}
	return settings
}

// attach makes the cluster, or changes the credentials of one that is attached:
// its location, tags and all that is not named stay.
func (a *app) attach(cmd *cobra.Command, c *client.Client, t *target, name string, kubeconfig *kube.Kubeconfig, want attachment) error {
	text, err := json.Marshal(kubeconfig)
	if err != nil {
		return err
	}
	id := t.clusterID(c, name)
	properties := map[string]any{"attachment": map[string]any{
		"kubeconfig": text, "takeOverIssuer": want.takeOver, "webhook": want.webhook(cmd.Flags().Changed),
	}}
	if want.issuer {
		properties["oidcIssuerProfile"] = map[string]any{"enabled": true}
	}
	if want.identity {
		properties["securityProfile"] = map[string]any{"workloadIdentity": map[string]any{"enabled": true}}
	}
	var k whole[cluster]
	err = client.Again(func() error {
		var old cluster
		etag, err := c.Read(cmd.Context(), id, clusterVersion, &old)
		if err != nil && !client.IsNotFound(err) {
			return err
		}
		if was, is := old.Properties.Attachment.Server, kubeconfig.Server(); was != "" && !sameServer(was, is) && !want.replace {
			return differs("cluster", name, "the API server "+was+", not "+is,
				"choose another name; or, when the same cluster has moved, add --replace-server")
		}
		if old.Location == "" {
			if old.Location, err = t.newLocation(cmd, c); err != nil {
				return err
			}
		}
		k = whole[cluster]{}
		body := map[string]any{"location": old.Location, "tags": old.Tags, "properties": properties}
		return c.PutIf(cmd.Context(), id, clusterVersion, etag, body, &k)
	})
	if err != nil {
		return err
	}
	return a.attached(cmd, c, t, name, k)
}

// sameServer compares two addresses of API servers.
func sameServer(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// newLocation is a new cluster's: its group's, unless the user named one.
func (t *target) newLocation(cmd *cobra.Command, c *client.Client) (string, error) {
	if cmd.Flags().Changed("location") {
		return t.location, nil
	}
	var group struct {
		Location string `json:"location"`
	}
	err := c.ARM(cmd.Context(), "GET", t.groupID(c), groupsVersion, nil, &group)
	return group.Location, err
}

// attached waits until the server is done with a cluster, and says what is left to do.
func (a *app) attached(cmd *cobra.Command, c *client.Client, t *target, name string, shown whole[cluster]) error {
	if err := a.awaitCluster(cmd.Context(), c, t.clusterID(c, name), &shown); err != nil {
		return err
	}
	k := shown.is
	if w := k.Properties.Attachment.Webhook; k.Properties.Security.WorkloadIdentity.Enabled && w != nil && w.State != nil && w.State.Mode == "none" {
		a.say("the server does not install the webhook in this cluster: install it yourself, or attach it again with --webhook url or deployment")
	}
	if !k.Properties.OIDC.Enabled {
		a.say("its tokens are not accepted yet: az aks update -g %s -n %s --enable-oidc-issuer", t.group, name)
	}
	return a.print(shown, clusterTable(k))
}

// awaitCluster reads a cluster until the server is done with it.
func (a *app) awaitCluster(ctx context.Context, c *client.Client, id string, shown *whole[cluster]) error {
	if shown.is.Properties.State == "Updating" {
		a.say("waiting for the webhook to answer in the cluster")
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for shown.is.Properties.State == "Updating" {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		*shown = whole[cluster]{}
		if err := c.ARM(ctx, "GET", id, clusterVersion, nil, shown); err != nil {
			return err
		}
	}
	k := shown.is
	w := k.Properties.Attachment.Webhook
	if w == nil || w.State == nil {
		return nil
	}
	if k.Properties.State == "Failed" {
		return fault.WithHint(errors.New("the webhook is not ready: "+w.State.Error), "the server tries again every minute: lanyard cluster show "+k.Name)
	}
	if w.State.Note != "" {
		a.say("%s", w.State.Note)
	}
	return nil
}
