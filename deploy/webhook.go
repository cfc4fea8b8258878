package deploy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/internal/wi"
)

//go:embed webhook.yaml
var webhookYAML []byte

// Where the webhook's objects are. The names are those of the webhook whose
// place it takes: https://azure.github.io/azure-workload-identity/
const (
	WebhookNamespace     = "azure-workload-identity-system"
	WebhookDeployment    = "azure-wi-webhook-controller-manager"
	WebhookService       = "azure-wi-webhook-webhook-service"
	WebhookSecret        = "azure-wi-webhook-server-cert"
	WebhookConfigMap     = "azure-wi-webhook-config"
	WebhookAccount       = "azure-wi-webhook-admin"
	WebhookConfiguration = "azure-wi-webhook-mutating-webhook-configuration"
	WebhookName          = "mutation.azure-workload-identity.io"
)

// A pod that is to stop answers on for the default of --drain-delay; after that, the
// last review takes as long as the API server waits, and leaving takes a moment.
const drainSeconds, leaveSeconds = 5, 20

// trustConfigMap holds the CA that pods are to trust.
const trustConfigMap = "azure-wi-webhook-trust"

// WebhookConfig is what an installation decides. Image and TenantID are needed;
// every other field has the default of the manifests or of `lanyard webhook`.
type WebhookConfig struct {
	Image      string
	PullPolicy string // Always, IfNotPresent or Never
	Replicas   int

	TenantID    string // AZURE_TENANT_ID; a UUID or adfs
	Environment string // AZURE_ENVIRONMENT; default AzurePublicCloud
	Authority   string // in place of the environment's authority, such as https://login.example.org/
	CA          []byte // PEM that pods are to trust; empty adds no trust

	Audience    string // of projected tokens
	Layout      string // of the token in the container: v1.6, v1.5 or both
	HostAliases []HostAlias
	ProxyImage  string // for pods that ask for the proxy; default Image
	Strict      bool   // refuse values that are only warned of otherwise

	TokenProxy *TokenProxy // identity bindings

	FailurePolicy  string // Fail or Ignore
	TimeoutSeconds int    // 1 to 30
}

// HostAlias is a line of /etc/hosts in the pods.
type HostAlias struct {
	IP        string
	Hostnames []string
}

// TokenProxy is the custom token endpoint that annotated pods use.
type TokenProxy struct {
	Suffix      string // of the annotation azure.workload.identity/use-<suffix>
	Audience    string
	URL         string
	SNI         string
	CAConfigMap string // in the pod's namespace, key ca.crt
	CAData      string // or the PEM itself
}

// Webhook renders the webhook's manifests, YAML documents in the order in which
// they are to be applied. The caBundle is the webhook's own to fill in.
func Webhook(c WebhookConfig) ([]byte, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	objects, err := documents(webhookYAML)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	for _, o := range objects {
		switch o["kind"] {
		case "ConfigMap":
			o["data"] = c.variables()
			if len(c.CA) > 0 {
				if err := e.Encode(c.trust()); err != nil {
					return nil, err
				}
			}
		case "PodDisruptionBudget":
			if c.Replicas == 1 { // a budget that keeps the only pod stops every drain
				delete(child(o, "spec"), "minAvailable")
				child(o, "spec")["maxUnavailable"] = 1
			}
		case "Deployment":
			c.fillDeployment(o)
		case "MutatingWebhookConfiguration":
			c.fillConfiguration(o)
		}
		if err := e.Encode(o); err != nil {
			return nil, err
		}
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (c WebhookConfig) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("webhook: "+format, args...)) }
	if c.Image == "" {
		fault("the image is not set")
	}
	if c.TenantID == "" {
		fault("the tenant is not set")
	}
	switch c.FailurePolicy {
	case "", "Fail", "Ignore":
	default:
		fault("failure policy %q: want Fail or Ignore", c.FailurePolicy)
	}
	if c.TimeoutSeconds < 0 || c.TimeoutSeconds > 30 {
		fault("timeout of %d s: want 1 to 30", c.TimeoutSeconds)
	}
	if c.Replicas < 0 {
		fault("%d replicas", c.Replicas)
	}
	return errors.Join(faults...)
}

// documents parses manifests.
func documents(manifests []byte) (all []map[string]any, err error) {
	d := yaml.NewDecoder(bytes.NewReader(manifests))
	for {
		var o map[string]any
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the manifests: %w", err)
		}
		all = append(all, o)
	}
}

// variables are the environment of the webhook.
func (c WebhookConfig) variables() map[string]any {
	v := map[string]any{wi.CloudEnv: c.Environment, wi.TenantIDEnv: c.TenantID}
	if c.Environment == "" {
		v[wi.CloudEnv] = "AzurePublicCloud"
	}
	if p := c.TokenProxy; p != nil {
		v[wi.TokenProxyEnv] = p.URL
		for name, value := range map[string]string{
			wi.ProxySNIEnv: p.SNI, wi.ProxyConfigMapEnv: p.CAConfigMap, wi.ProxyCAEnv: p.CAData,
		} {
			if value != "" {
				v[name] = value
			}
		}
	}
	return v
}

func (c WebhookConfig) trust() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": trustConfigMap, "namespace": WebhookNamespace,
			"labels": map[string]any{"azure-workload-identity.io/system": "true"},
		},
		"data": map[string]any{"ca.crt": string(c.CA)},
	}
}

const trustDir = "/etc/azure-wi-webhook/trust"

// args are those of `lanyard webhook`.
func (c WebhookConfig) args() []any {
	args := []any{"webhook", "--log-level=info"}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, "--"+flag+"="+value)
		}
	}
	add("authority-host", c.Authority)
	if len(c.CA) > 0 {
		add("ca-file", trustDir+"/ca.crt")
	}
	add("audience", c.Audience)
	add("token-layout", c.Layout)
	proxy := c.ProxyImage
	if proxy == "" {
		proxy = c.Image
	}
	add("proxy-image", proxy)
	if p := c.TokenProxy; p != nil {
		add("custom-token-endpoint-annotation-suffix", p.Suffix)
		add("custom-token-endpoint-audience", p.Audience)
	}
	for _, a := range c.HostAliases {
		for _, name := range a.Hostnames {
			add("host-alias", a.IP+"="+name)
		}
	}
	if c.Strict {
		args = append(args, "--strict")
	}
	return args
}

func (c WebhookConfig) fillDeployment(o map[string]any) {
	spec := child(o, "spec")
	if c.Replicas > 0 {
		spec["replicas"] = c.Replicas
	}
	template := child(spec, "template")
	// A pod reads its configuration once: another one makes other pods.
	child(template, "metadata")["annotations"] = map[string]any{"lanyard.io/config": c.digest()}
	pod := child(template, "spec")
	container := pod["containers"].([]any)[0].(map[string]any)
	container["image"], container["args"] = c.Image, c.args()
	if c.PullPolicy != "" {
		container["imagePullPolicy"] = c.PullPolicy
	}
	if grace := drainSeconds + c.TimeoutSeconds + leaveSeconds; grace > 30 {
		pod["terminationGracePeriodSeconds"] = grace
	}
	if len(c.CA) > 0 {
		container["volumeMounts"] = []any{map[string]any{"name": "trust", "mountPath": trustDir, "readOnly": true}}
		pod["volumes"] = []any{map[string]any{"name": "trust", "configMap": map[string]any{"name": trustConfigMap}}}
	}
}

func (c WebhookConfig) fillConfiguration(o map[string]any) {
	webhook := o["webhooks"].([]any)[0].(map[string]any)
	if c.FailurePolicy != "" {
		webhook["failurePolicy"] = c.FailurePolicy
	}
	if c.TimeoutSeconds > 0 {
		webhook["timeoutSeconds"] = c.TimeoutSeconds
	}
}

// digest changes with what the pods read at their start.
func (c WebhookConfig) digest() string {
	h := sha256.New()
	b, _ := json.Marshal(c.variables()) // strings only; keys in order
	h.Write(b)
	h.Write(c.CA)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// child is an object in an object of our own manifests.
func child(o map[string]any, name string) map[string]any { return o[name].(map[string]any) }
