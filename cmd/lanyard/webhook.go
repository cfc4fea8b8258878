package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/webhook"
	"github.com/lanyard-io/lanyard/internal/wi"
)

func newWebhookCmd(a *app) *cobra.Command {
	var s webhook.Settings
	var version bool
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Run the cluster's mutating webhook until it is stopped",
		Long: `Run the webhook that gives labelled pods what they need to use their identity,
in the place of Azure Workload Identity's: with its flags, its environment
variables, its ports and the names of its objects in the cluster.

The tenant is AZURE_TENANT_ID. The authority is --authority-host, or the cloud
that AZURE_ENVIRONMENT names. AZURE_KUBERNETES_TOKEN_PROXY, _SNI_NAME, _CA_DATA,
_CA_CONFIGMAP_NAME, _CA_CTB_SIGNER_NAME and _CA_CTB_LABEL_SELECTOR say where the
custom token endpoint is; PROXY_IMAGE is the sidecar's image, and POD_NAMESPACE
the webhook's own namespace.`,
		Example: `  lanyard webhook                   # in a pod: deploy/webhook.yaml
  lanyard webhook --authority-host https://login.lanyard.example.org/ --ca-file /trust/ca.pem
  lanyard webhook --kubeconfig ~/.kube/config --webhook-cert-dir ./certs --disable-cert-rotation`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if version {
				return a.webhookVersion()
			}
			s.DrainGiven = cmd.Flags().Changed("drain-delay")
			c, err := s.Parse(a.Getenv, a.Err)
			if err != nil {
				return fault.WithHint(err, "lanyard webhook --help")
			}
			if a.Getenv("GOGC") == "" {
				debug.SetGCPercent(webhook.GCPercentAtFirst)
				c.Settled = func() { debug.SetGCPercent(webhook.GCPercent) }
			}
			heedMemoryLimit(cmd.Context(), c.Log)
			kube.LogTo(c.Log)
			hook, err := webhook.New(cmd.Context(), c)
			if err != nil {
				return err
			}
			return hook.Run(cmd.Context())
		},
	}
	addWebhookFlags(cmd.Flags(), &s)
	cmd.Flags().BoolVar(&version, "version", false, "print what this program was built from, as JSON")
	return cmd
}

func addWebhookFlags(f *pflag.FlagSet, s *webhook.Settings) {
	f.StringVar(&s.Listen, "listen", ":9443", "HTTPS listener, `[HOST]:PORT`")
	f.StringVar(&s.Health, "health-addr", ":9440", "listener of /healthz and /readyz, `[HOST]:PORT` or off")
	f.StringVar(&s.Metrics, "metrics-addr", ":8095", "listener of /metrics, `[HOST]:PORT` or off")
	f.StringVar(&s.MetricsBackend, "metrics-backend", "prometheus", "what /metrics is for: prometheus")
	f.StringVar(&s.Kubeconfig, "kubeconfig", "", "kubeconfig `file` (default the cluster that this runs in)")

	f.StringVar(&s.Authority, "authority-host", "", "authority `URL` for pods (default the cloud of AZURE_ENVIRONMENT)")
	f.StringVar(&s.Tenant, "tenant-id", "", "tenant `UUID` or adfs (default AZURE_TENANT_ID)")
	f.StringVar(&s.Audience, "audience", wi.Audience, "audience of the pods' tokens")
	f.StringVar(&s.Layout, "token-layout", "v1.6", "where the token is in a container: v1.6, v1.5 or both")
	f.StringVar(&s.EndpointSuffix, "custom-token-endpoint-annotation-suffix", "", "pods annotated azure.workload.identity/use-`SUFFIX` get the custom token endpoint")
	f.StringVar(&s.EndpointAudience, "custom-token-endpoint-audience", "", "audience of those pods' tokens")

	f.StringVar(&s.CAFile, "ca-file", "", "PEM `file` with the authority's CA, for pods to trust")
	f.StringVar(&s.CAConfigMap, "ca-config-map", "", "or the config map in each pod's namespace with it, `NAME[/KEY]`")
	f.StringVar(&s.CABundle, "ca-bundle", "", "or the `name` of a ClusterTrustBundle with it")
	f.StringSliceVar(&s.CAEnv, "ca-env", nil, "`variables` that point at it (default SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE)")
	f.StringVar(&s.CAJava, "ca-java-config-map", "", "also the config map in each pod's namespace with a truststore for Java, `NAME[/KEY]`")
	f.StringSliceVar(&s.HostAliases, "host-alias", nil, "line of the pods' /etc/hosts, `IP=HOST`")
	f.StringVar(&s.ProxyImage, "proxy-image", "", "`image` of the proxy sidecar (default PROXY_IMAGE)")
	f.StringVar(&s.ProxyMode, "proxy-mode", "redirect", "how calls reach the sidecar: redirect or env")
	f.BoolVar(&s.Strict, "strict", false, "refuse pods with values that are only warned of otherwise")
	f.BoolVar(&s.Unlabelled, "unlabelled", false, "also serve pods without the label, when the webhook's configuration selects them")

	f.StringVar(&s.CertFiles, "webhook-cert-dir", "/certs", "`directory` of tls.crt and tls.key, with --disable-cert-rotation")
	f.BoolVar(&s.NoRotation, "disable-cert-rotation", false, "take the certificate from files: cert-manager's, or yours")
	f.StringVar(&s.OldestTLS, "tls-min-version", "1.3", "oldest TLS that is spoken: 1.2 or 1.3")
	f.DurationVar(&s.DrainDelay, "drain-delay", 5*time.Second, "how long to serve after SIGTERM; by default only in a cluster")
	f.StringVar(&s.LogFormat, "log-format", "json", "json or text")
	f.StringVar(&s.LogLevel, "log-level", "info", "debug, info, warn or error")
}

// webhookVersion has the keys that scripts for the upstream webhook look for.
func (a *app) webhookVersion() error {
	b := obs.Build()
	out, err := json.Marshal(map[string]string{
		"buildVersion": b.Version, "gitCommit": b.Commit, "buildDate": "", "goVersion": b.Go,
		"platform": runtime.GOOS + "/" + runtime.GOARCH,
	})
	if err == nil {
		_, err = fmt.Fprintln(a.Out, string(out))
	}
	return err
}
