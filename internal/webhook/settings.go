package webhook

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/textfile"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// Settings are the webhook's as an operator writes them, in flags and in the variables
// that the upstream webhook reads. The embedded Config has those that need no reading.
type Settings struct {
	Config

	Authority, Tenant, Audience, Layout string
	CAFile, CAConfigMap, CABundle       string // where pods get the authority's CA: one of them
	CAJava                              string // a config map too, NAME[/KEY] like the other
	CAEnv, HostAliases                  []string
	ProxyImage, ProxyMode               string
	Strict, Unlabelled                  bool
	Kubeconfig, OldestTLS               string
	CertFiles                           string // the directory that counts with NoRotation
	NoRotation                          bool
	DrainGiven                          bool // the operator named a drain delay; else it is for clusters only
	EndpointSuffix, EndpointAudience    string
	MetricsBackend, LogFormat, LogLevel string
}

// Parse checks what the settings and the environment say together, and reports every
// fault at once. Its log goes to out.
func (s *Settings) Parse(getenv func(string) string, out io.Writer) (Config, error) {
	c := s.Config
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	c.Kube.Path = s.Kubeconfig
	if c.Kube.Path != "" && !s.DrainGiven {
		c.DrainDelay = 0
	}
	c.Namespace = getenv("POD_NAMESPACE")
	if s.NoRotation {
		c.CertDir = s.CertFiles
	}
	if s.MetricsBackend != "prometheus" {
		note(fmt.Errorf("metrics backend %q: want prometheus", s.MetricsBackend))
	}
	switch s.OldestTLS {
	case "1.2":
		c.MinTLS = tls.VersionTLS12
	case "1.3":
		c.MinTLS = tls.VersionTLS13
	default:
		note(fmt.Errorf("TLS version %q: want 1.2 or 1.3", s.OldestTLS))
	}
	var err error
	c.Log, err = obs.OpenLog(out, s.LogFormat, upstreamLevel(s.LogLevel))
	note(err)
	c.Admission, err = s.injected(getenv)
	note(err)
	c.TrustFile = s.CAFile
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
func (s *Settings) injected(getenv func(string) string) (c admission.Config, err error) {
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	c = admission.Config{
		Authority: s.Authority, TenantID: cmp.Or(s.Tenant, getenv(wi.TenantIDEnv)), Audience: s.Audience,
		Layout: s.Layout, Strict: s.Strict, Unlabelled: s.Unlabelled,
		Sidecar: admission.Sidecar{Image: cmp.Or(s.ProxyImage, getenv("PROXY_IMAGE")), Mode: s.ProxyMode},
	}
	if c.TenantID == "" {
		note(errors.New("no tenant: set AZURE_TENANT_ID or --tenant-id"))
	}
	if c.Authority == "" {
		c.Authority, err = cloudAuthority(getenv)
		note(err)
	}
	c.Trust, err = s.trust()
	note(err)
	c.TokenProxy, err = s.tokenProxy(getenv)
	note(err)
	c.HostAliases, err = hostAliases(s.HostAliases)
	note(err)
	return c, errors.Join(faults...)
}

func cloudAuthority(getenv func(string) string) (string, error) {
	var stack []byte
	if path := getenv(wi.CloudFileEnv); path != "" {
		var err error
		if stack, err = textfile.Read(path); err != nil {
			return "", fmt.Errorf("reading AZURE_ENVIRONMENT_FILEPATH: %w", err)
		}
	}
	authority, err := admission.Authority(getenv(wi.CloudEnv), stack)
	if err != nil {
		return "", fmt.Errorf("AZURE_ENVIRONMENT: %w", err)
	}
	return authority, nil
}

func (s *Settings) trust() (*admission.Trust, error) {
	sources := 0
	for _, source := range []string{s.CAFile, s.CAConfigMap, s.CABundle} {
		if source != "" {
			sources++
		}
	}
	switch {
	case sources > 1:
		return nil, errors.New("--ca-file, --ca-config-map and --ca-bundle: want one of them")
	case sources == 0 && len(s.CAEnv) > 0:
		return nil, errors.New("--ca-env names variables, but nothing says where the CA is: set --ca-file")
	case sources == 0 && s.CAJava != "":
		return nil, errors.New("--ca-java-config-map is for Java alone, and nothing says where the CA is for others: set --ca-file")
	case sources == 0:
		return nil, nil
	}
	t := &admission.Trust{Bundle: s.CABundle, Env: s.CAEnv}
	t.ConfigMap, t.ConfigMapKey, _ = strings.Cut(s.CAConfigMap, "/")
	t.JavaConfigMap, t.JavaConfigMapKey, _ = strings.Cut(s.CAJava, "/")
	return t, nil
}

// tokenProxy is the custom token endpoint, which flags turn on and the
// environment describes.
func (s *Settings) tokenProxy(getenv func(string) string) (*admission.TokenProxy, error) {
	if s.EndpointSuffix == "" && s.EndpointAudience == "" {
		return nil, nil
	}
	if s.EndpointSuffix == "" || s.EndpointAudience == "" {
		return nil, errors.New("--custom-token-endpoint-annotation-suffix and --custom-token-endpoint-audience go together: set both or neither")
	}
	return &admission.TokenProxy{
		Suffix: s.EndpointSuffix, Audience: s.EndpointAudience,
		URL: getenv(wi.TokenProxyEnv), SNI: getenv(wi.ProxySNIEnv),
		CAData: getenv(wi.ProxyCAEnv), CAConfigMap: getenv(wi.ProxyConfigMapEnv),
		CASigner:   getenv(wi.ProxySignerEnv),
		CASelector: json.RawMessage(getenv(wi.ProxySelectorEnv)),
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
