package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/textfile"
	"github.com/lanyard-io/lanyard/internal/webhook"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// webhookFlags are as they stand on the command line.
type webhookFlags struct {
	webhook.Config

	authority, tenant, audience, layout string
	caFile, caConfigMap, caBundle       string
	caJava                              string
	caEnv, hostAliases                  []string
	proxyImage, proxyMode               string
	strict, unlabelled                  bool
	kubeconfig, certDir, minTLS         string
	noRotation                          bool
	endpointSuffix, endpointAudience    string
	metricsBackend, logFormat, logLevel string
	version                             bool
}

func newWebhookCmd(a *app) *cobra.Command {
	var w webhookFlags
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
			if w.version {
				return a.webhookVersion()
			}
			c, err := a.webhookConfig(&w, cmd.Flags().Changed("drain-delay"))
			if err != nil {
				return fault.WithHint(err, "lanyard webhook --help")
			}
			if a.Getenv("GOGC") == "" {
				debug.SetGCPercent(webhook.GCPercentAtFirst)
				c.Settled = func() { debug.SetGCPercent(webhook.GCPercent) }
			}
			heedMemoryLimit(cmd.Context(), c.Log)
			kube.LogTo(c.Log)
			s, err := webhook.New(cmd.Context(), c)
			if err != nil {
				return err
			}
			return s.Run(cmd.Context())
		},
	}
	w.add(cmd.Flags())
	return cmd
}

func (w *webhookFlags) add(f *pflag.FlagSet) {
	f.StringVar(&w.Listen, "listen", ":9443", "HTTPS listener, `[HOST]:PORT`")
	f.StringVar(&w.Health, "health-addr", ":9440", "listener of /healthz and /readyz, `[HOST]:PORT` or off")
	f.StringVar(&w.Metrics, "metrics-addr", ":8095", "listener of /metrics, `[HOST]:PORT` or off")
	f.StringVar(&w.metricsBackend, "metrics-backend", "prometheus", "what /metrics is for: prometheus")
	f.StringVar(&w.kubeconfig, "kubeconfig", "", "kubeconfig `file` (default the cluster that this runs in)")

	f.StringVar(&w.authority, "authority-host", "", "authority `URL` for pods (default the cloud of AZURE_ENVIRONMENT)")
	f.StringVar(&w.tenant, "tenant-id", "", "tenant `UUID` or adfs (default AZURE_TENANT_ID)")
	f.StringVar(&w.audience, "audience", wi.Audience, "audience of the pods' tokens")
	f.StringVar(&w.layout, "token-layout", "v1.6", "where the token is in a container: v1.6, v1.5 or both")
	f.StringVar(&w.endpointSuffix, "custom-token-endpoint-annotation-suffix", "", "pods annotated azure.workload.identity/use-`SUFFIX` get the custom token endpoint")
	f.StringVar(&w.endpointAudience, "custom-token-endpoint-audience", "", "audience of those pods' tokens")

	f.StringVar(&w.caFile, "ca-file", "", "PEM `file` with the authority's CA, for pods to trust")
	f.StringVar(&w.caConfigMap, "ca-config-map", "", "or the config map in each pod's namespace with it, `NAME[/KEY]`")
	f.StringVar(&w.caBundle, "ca-bundle", "", "or the `name` of a ClusterTrustBundle with it")
	f.StringSliceVar(&w.caEnv, "ca-env", nil, "`variables` that point at it (default SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE)")
	f.StringVar(&w.caJava, "ca-java-config-map", "", "also the config map in each pod's namespace with a truststore for Java, `NAME[/KEY]`")
	f.StringSliceVar(&w.hostAliases, "host-alias", nil, "line of the pods' /etc/hosts, `IP=HOST`")
	f.StringVar(&w.proxyImage, "proxy-image", "", "`image` of the proxy sidecar (default PROXY_IMAGE)")
	f.StringVar(&w.proxyMode, "proxy-mode", "redirect", "how calls reach the sidecar: redirect or env")
	f.BoolVar(&w.strict, "strict", false, "refuse pods with values that are only warned of otherwise")
	f.BoolVar(&w.unlabelled, "unlabelled", false, "also serve pods without the label, when the webhook's configuration selects them")

	f.StringVar(&w.certDir, "webhook-cert-dir", "/certs", "`directory` of tls.crt and tls.key, with --disable-cert-rotation")
	f.BoolVar(&w.noRotation, "disable-cert-rotation", false, "take the certificate from files: cert-manager's, or yours")
	f.StringVar(&w.minTLS, "tls-min-version", "1.3", "oldest TLS that is spoken: 1.2 or 1.3")
	f.DurationVar(&w.DrainDelay, "drain-delay", 5*time.Second, "how long to serve after SIGTERM; by default only in a cluster")
	f.StringVar(&w.logFormat, "log-format", "json", "json or text")
	f.StringVar(&w.logLevel, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&w.version, "version", false, "print what this program was built from, as JSON")
}

// webhookConfig checks what the flags and the environment say together.
func (a *app) webhookConfig(w *webhookFlags, drainSet bool) (webhook.Config, error) {
	c := w.Config
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	c.Kube.Path = w.kubeconfig
	if c.Kube.Path != "" && !drainSet {
		c.DrainDelay = 0
	}
	c.Namespace = a.Getenv("POD_NAMESPACE")
	if w.noRotation {
		c.CertDir = w.certDir
	}
	if w.metricsBackend != "prometheus" {
		note(fmt.Errorf("metrics backend %q: want prometheus", w.metricsBackend))
	}
	switch w.minTLS {
	case "1.2":
		c.MinTLS = tls.VersionTLS12
	case "1.3":
		c.MinTLS = tls.VersionTLS13
	default:
		note(fmt.Errorf("TLS version %q: want 1.2 or 1.3", w.minTLS))
	}
	level, err := logSettings(w.logFormat, upstreamLevel(w.logLevel))
	note(err)
	c.Log = obs.NewLogger(a.Err, w.logFormat, level)

	c.Admission, err = a.injected(w)
	note(err)
	c.TrustFile = w.caFile
	if len(faults) == 0 {
		note(c.Validate())
	}
	return c, errors.Join(faults...)
}

// upstreamLevel translates the levels that the upstream webhook knows and we do not.
func upstreamLevel(level string) string {
	switch level {
	case "":
		return "info"
	case "trace", "all":
		return "debug"
	}
	return level
}

// injected is what pods get.
func (a *app) injected(w *webhookFlags) (c admission.Config, err error) {
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	c = admission.Config{
		Authority: w.authority, TenantID: first(w.tenant, a.Getenv(wi.TenantIDEnv)), Audience: w.audience,
		Layout: w.layout, Strict: w.strict, Unlabelled: w.unlabelled,
		Sidecar: admission.Sidecar{Image: first(w.proxyImage, a.Getenv("PROXY_IMAGE")), Mode: w.proxyMode},
	}
	if c.TenantID == "" {
		note(errors.New("no tenant: set AZURE_TENANT_ID or --tenant-id"))
	}
	if c.Authority == "" {
		c.Authority, err = a.cloudAuthority()
		note(err)
	}
	c.Trust, err = w.trust()
	note(err)
	c.TokenProxy, err = a.tokenProxy(w)
	note(err)
	c.HostAliases, err = hostAliases(w.hostAliases)
	note(err)
	return c, errors.Join(faults...)
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

func (a *app) cloudAuthority() (string, error) {
	var stack []byte
	if path := a.Getenv(wi.CloudFileEnv); path != "" {
		var err error
		if stack, err = textfile.Read(path); err != nil {
			return "", fmt.Errorf("reading AZURE_ENVIRONMENT_FILEPATH: %w", err)
		}
	}
	authority, err := admission.Authority(a.Getenv(wi.CloudEnv), stack)
	if err != nil {
		return "", fmt.Errorf("AZURE_ENVIRONMENT: %w", err)
	}
	return authority, nil
}

func (w *webhookFlags) trust() (*admission.Trust, error) {
	sources := 0
	for _, s := range []string{w.caFile, w.caConfigMap, w.caBundle} {
		if s != "" {
			sources++
		}
	}
	switch {
	case sources > 1:
		return nil, errors.New("--ca-file, --ca-config-map and --ca-bundle: want one of them")
	case sources == 0 && len(w.caEnv) > 0:
		return nil, errors.New("--ca-env names variables, but nothing says where the CA is: set --ca-file")
	case sources == 0 && w.caJava != "":
		return nil, errors.New("--ca-java-config-map is for Java alone, and nothing says where the CA is for others: set --ca-file")
	case sources == 0:
		return nil, nil
	}
	t := &admission.Trust{Bundle: w.caBundle, Env: w.caEnv}
	t.ConfigMap, t.ConfigMapKey, _ = strings.Cut(w.caConfigMap, "/")
	t.JavaConfigMap, t.JavaConfigMapKey, _ = strings.Cut(w.caJava, "/")
	return t, nil
}

// tokenProxy is the custom token endpoint, which flags turn on and the
// environment describes.
func (a *app) tokenProxy(w *webhookFlags) (*admission.TokenProxy, error) {
	if w.endpointSuffix == "" && w.endpointAudience == "" {
		return nil, nil
	}
	if w.endpointSuffix == "" || w.endpointAudience == "" {
		return nil, errors.New("--custom-token-endpoint-annotation-suffix and --custom-token-endpoint-audience go together: set both or neither")
	}
	return &admission.TokenProxy{
		Suffix: w.endpointSuffix, Audience: w.endpointAudience,
		URL: a.Getenv(wi.TokenProxyEnv), SNI: a.Getenv(wi.ProxySNIEnv),
		CAData: a.Getenv(wi.ProxyCAEnv), CAConfigMap: a.Getenv(wi.ProxyConfigMapEnv),
		CASigner:   a.Getenv(wi.ProxySignerEnv),
		CASelector: json.RawMessage(a.Getenv(wi.ProxySelectorEnv)),
	}, nil
}

// hostAliases groups IP=HOST by address.
func hostAliases(words []string) ([]admission.HostAlias, error) {
	var all []admission.HostAlias
	for _, word := range words {
		ip, host, ok := strings.Cut(word, "=")
		if !ok || ip == "" || host == "" {
			return nil, fmt.Errorf("host alias %q: want IP=HOST", word)
		}
		i := slices.IndexFunc(all, func(a admission.HostAlias) bool { return a.IP == ip })
		if i < 0 {
			all = append(all, admission.HostAlias{IP: ip})
			i = len(all) - 1
		}
		all[i].Hostnames = append(all[i].Hostnames, host)
	}
	return all, nil
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
