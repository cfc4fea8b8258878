package admission

import (
	"encoding/json"
	"strings"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// Config is what a webhook injects. It is read by every request: change it by
// handing out another one.
type Config struct {
	Authority string // AZURE_AUTHORITY_HOST, https; a missing final slash is added
	TenantID  string // AZURE_TENANT_ID where the service account names none; a GUID or "adfs"
	Audience  string // of the projected token; default api://AzureADTokenExchange
	Layout    string // LayoutV16 (default), LayoutV15 or LayoutBoth

	Trust       *Trust      // CA of a private authority; nil adds no trust
	TokenProxy  *TokenProxy // identity bindings; nil leaves their annotation without effect
	Sidecar     Sidecar     // for pods that ask for the proxy
	HostAliases []HostAlias // added to /etc/hosts of pods that are not on the host's network

	Unlabelled bool // also mutate pods without the label, for selection by namespace; "false" still opts out
	Strict     bool // refuse values that are only warned of otherwise
}

// The layouts of the token in the container.
const (
	LayoutV16  = "v1.6" // /var/run/secrets/azure/wi/token/azure-identity-token
	LayoutV15  = "v1.5" // /var/run/secrets/azure/tokens/azure-identity-token
	LayoutBoth = "both" // one volume at both paths; the variable names v1.6's
)

// Trust says where pods find the CA certificates of a private authority, and
// which variables point at them. Exactly one source is set.
type Trust struct {
	PEM []byte // travels as an annotation of the pod, at most 64 KiB

	ConfigMap    string // in the pod's namespace
	ConfigMapKey string // default ca.crt

	Bundle   string          // name of a ClusterTrustBundle
	Signer   string          // or the signer of ClusterTrustBundles,
	Selector json.RawMessage // with an optional label selector

	Env []string // default SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and REQUESTS_CA_BUNDLE

	JavaConfigMap    string // beside the source: the CAs as Java reads them, in the pod's namespace
	JavaConfigMapKey string // default truststore.p12
}

// TokenProxy is the custom token endpoint of annotated pods, the client's half
// of an identity binding. At most one CA source is set; none means system roots.
type TokenProxy struct {
	Suffix   string // pods opt in by azure.workload.identity/use-<suffix>: "true"
	Audience string // of their token; must differ from Config.Audience
	URL      string // AZURE_KUBERNETES_TOKEN_PROXY, https
	SNI      string // AZURE_KUBERNETES_SNI_NAME, optional

	CAData      string          // AZURE_KUBERNETES_CA_DATA, PEM
	CAConfigMap string          // in the pod's namespace, key ca.crt
	CASigner    string          // of ClusterTrustBundles,
	CASelector  json.RawMessage // with an optional label selector
}

// Sidecar is how the proxy is put into pods that ask for it.
type Sidecar struct {
	Image      string // Lanyard's; empty refuses pods that ask
	PullPolicy string // default IfNotPresent
	Native     bool   // the cluster (1.32 and later) runs init containers that restart
	Mode       string // SidecarRedirect (default) or SidecarEnv

	Resources json.RawMessage // ResourceRequirements; default small requests and limits
	RunAsUser int64           // of the proxy; default 65532
}

// How calls reach the proxy sidecar.
const (
	SidecarRedirect = "redirect" // an init container with NET_ADMIN redirects 169.254.169.254:80
	SidecarEnv      = "env"      // variables that the SDKs honour; no privilege
)

// HostAlias is a line of /etc/hosts.
type HostAlias struct {
	IP        string   `json:"ip"`
	Hostnames []string `json:"hostnames"`
}

func (c *Config) audience() string {
	if c.Audience == "" {
		return wi.Audience
	}
	return c.Audience
}

// authority ends in a slash: samples join it and the tenant without one.
func (c *Config) authority() string { return strings.TrimRight(c.Authority, "/") + "/" }

func (t *Trust) env() []string {
	if len(t.Env) == 0 {
		return []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"}
	}
	return t.Env
}
