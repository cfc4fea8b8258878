package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/table"
)

func clusters() *things[manage.Cluster] {
	return &things[manage.Cluster]{
		noun: "cluster", in: (*manage.Client).Clusters,
		head: []string{"NAME", "SERVER", "VERSION", "ISSUER", "ACCEPTED", "WORKLOAD IDENTITY"},
		cells: func(k manage.Cluster) []string {
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
			return []string{k.Name, k.Properties.Attachment.Server, k.Properties.Version, k.Properties.Attachment.Issuer, accepted, wanted}
		},
	}
}

// clusterFacts is a cluster in full, a fact a line.
func clusterFacts(k manage.Cluster, now time.Time) table.Table {
	t := table.Table{Head: []string{"WHAT", "IS"}}
	add := func(what, is string) {
		if is != "" {
			t.Rows = append(t.Rows, []string{what, is})
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

func newClusterCmd(a *app) *cobra.Command {
	var t target
	all := clusters()
	cmd := noun("cluster", "Attached clusters: whose service accounts can be trusted", []string{"clusters"})
	addTarget(cmd.PersistentFlags(), &t)
	show := a.verb(words{"show NAME", "Show a cluster", `  lanyard cluster show akscluster -g lab -o json`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			k, err := c.Clusters(t.group).Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.print(k, clusterFacts(k.Is, time.Now()))
		})
	list := a.verb(words{"list", "List all clusters, or those of the group that -g names", `  lanyard cluster list
  lanyard cluster list -g lab`},
		func(cmd *cobra.Command, c *manage.Client, _ []string) error {
			found, err := c.Clusters(namedGroup(cmd)).List(cmd.Context())
			if err != nil {
				return err
			}
			for _, k := range manage.Parts(found) {
				if k.Properties.Attachment.Attention != "" {
					a.say("cluster %s: %s", k.Name, k.Properties.Attachment.Attention)
				}
			}
			return a.print(found, all.table(manage.Parts(found)...))
		})
	cmd.AddCommand(newAttachCmd(a, &t), list, show, newDetachCmd(a, &t))
	return cmd
}

func newDetachCmd(a *app, t *target) *cobra.Command {
	var force bool
	detach := a.verb(words{"detach NAME", "Forget a cluster: its tokens are no longer accepted", `  lanyard cluster detach akscluster -g lab
  lanyard cluster detach akscluster -g lab --force   # it is gone, or out of reach`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			return c.Detach(cmd.Context(), t.group, args[0], force)
		})
	detach.Long = `Forget a cluster, its credentials and its issuer's keys, after taking the webhook
out of it that was put there. Federated credentials that name its issuer stay, and
accept nothing.

A cluster that cannot be reached is not forgotten, because pods that ask for an
identity could not start in it any more; --force does it nevertheless.`
	detach.Flags().BoolVar(&force, "force", false, "even when the webhook cannot be taken out of the cluster")
	return detach
}

func newAttachCmd(a *app, t *target) *cobra.Command {
	var from kubeFlags
	var want manage.Attachment
	var hook hookFlags
	var kubeconfig *kube.Kubeconfig
	cmd := a.verb(words{"attach NAME", "Make a cluster known, or give the server new credentials for it", `  lanyard cluster attach akscluster -g lab --kubeconfig ~/.kube/config
  lanyard cluster attach akscluster -g lab --context kind-dev --enable-oidc-issuer
  lanyard cluster attach akscluster -g lab --enable-oidc-issuer --enable-workload-identity \
      --webhook url --webhook-url https://172.18.0.1:7444 --host-alias 172.18.0.1
  lanyard cluster attach akscluster -g lab --webhook deployment --webhook-image registry.example.org/lanyard:1.0
  lanyard cluster attach akscluster -g lab --enable-oidc-issuer --take-over-issuer   # it was made anew`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			if err := c.EnsureGroup(cmd.Context(), t.group, t.location); err != nil {
				return err
			}
			text, err := json.Marshal(kubeconfig)
			if err != nil {
				return err
			}
			want.Kubeconfig, want.Server, want.Webhook = text, kubeconfig.Server(), hook.settings(cmd)
			if cmd.Flags().Changed("location") {
				want.Location = t.location
			}
			k, err := c.Attach(cmd.Context(), t.group, args[0], want)
			if err != nil {
				return err
			}
			return a.attached(cmd.Context(), c, t.group, args[0], k)
		}, func([]string) (err error) {
			kubeconfig, err = kube.ReadKubeconfig(a.kubeconfigPath(from), from.context)
			return err
		})
	cmd.Long = `Make a Kubernetes cluster known to the server, as a managed cluster that az and
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
has a webhook listener, deployment if it was started with --webhook-image.`
	from.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&want.OIDC, "enable-oidc-issuer", false, "accept the tokens of its service accounts, as az aks update does")
	f.BoolVar(&want.TakeOver, "take-over-issuer", false, "its keys decide even where credentials trust what its issuer publishes")
	f.BoolVar(&want.Identity, "enable-workload-identity", false, "put the webhook into the cluster; needs --enable-oidc-issuer")
	f.StringVar(&hook.mode, "webhook", "", "how the cluster gets the webhook: `url`, deployment or none")
	f.StringVar(&hook.url, "webhook-url", "", "where its API server reaches the server's webhook listener, `https://HOST:PORT`")
	f.StringVar(&hook.image, "webhook-image", "", "`image` of the webhook for --webhook deployment")
	f.StringVar(&hook.pullPolicy, "webhook-image-pull-policy", "", "Always, IfNotPresent or Never")
	f.StringVar(&hook.hostAlias, "host-alias", "", "`IP` of the server, for clusters whose pods cannot resolve its names")
	f.BoolVar(&want.Replace, "replace-server", false, "take the kubeconfig's API server in place of the one that is attached under this name")
	_ = cmd.RegisterFlagCompletionFunc("webhook", cobra.FixedCompletions([]string{"url", "deployment", "none"}, cobra.ShellCompDirectiveNoFileComp)) // it fails only for a flag that is not there
	return cmd
}

// hookFlags are how a cluster gets the webhook.
type hookFlags struct{ mode, url, image, pullPolicy, hostAlias string }

// settings are those that were given; one that was not stays as it is.
func (w hookFlags) settings(cmd *cobra.Command) map[string]string {
	settings := map[string]string{}
	for _, s := range []struct{ flag, name, value string }{
		{"webhook", "mode", w.mode}, {"webhook-url", "url", w.url}, {"webhook-image", "image", w.image},
		{"webhook-image-pull-policy", "imagePullPolicy", w.pullPolicy}, {"host-alias", "hostAlias", w.hostAlias},
	} {
		if cmd.Flags().Changed(s.flag) {
			settings[s.name] = s.value
		}
	}
	return settings
}

// attached waits until the server is done with a cluster, and says what is left to do.
func (a *app) attached(ctx context.Context, c *manage.Client, group, name string, shown manage.Whole[manage.Cluster]) error {
	if shown.Is.Busy() {
		a.say("waiting for the webhook to answer in the cluster")
	}
	shown, err := c.AwaitCluster(ctx, group, shown)
	if err != nil {
		return err
	}
	p := shown.Is.Properties
	if w := p.Attachment.Webhook; w != nil && w.State != nil {
		if w.State.Note != "" {
			a.say("%s", w.State.Note)
		}
		if p.Security.WorkloadIdentity.Enabled && w.State.Mode == "none" {
			a.say("the server does not install the webhook in this cluster: install it yourself, or attach it again with --webhook url or deployment")
		}
	}
	if !p.OIDC.Enabled {
		a.say("its tokens are not accepted yet: az aks update -g %s -n %s --enable-oidc-issuer", group, name)
	}
	return a.print(shown, clusters().table(shown.Is))
}
