package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// configuration is a MutatingWebhookConfiguration.
// https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/mutating-webhook-configuration-v1/
type configuration struct {
	Metadata meta      `json:"metadata"`
	Webhooks []webhook `json:"webhooks"`
}

type webhook struct {
	Name   string `json:"name"`
	Client struct {
		URL     string   `json:"url"`
		CA      []byte   `json:"caBundle"`
		Service *service `json:"service"`
	} `json:"clientConfig"`
	Objects       json.RawMessage `json:"objectSelector"`
	Namespaces    json.RawMessage `json:"namespaceSelector"`
	FailurePolicy string          `json:"failurePolicy"`
	SideEffects   string          `json:"sideEffects"`

	configuration string // the name of the object that it is in
}

type service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Path      string `json:"path"`
}

func (s *service) host() string { return s.Name + "." + s.Namespace + ".svc" }

// ours tells the identity webhook, Lanyard's or upstream's, from all others.
func (h *webhook) ours() bool {
	path := ""
	if h.Client.Service != nil {
		path = h.Client.Service.Path
	} else if u, err := url.Parse(h.Client.URL); err == nil {
		path = u.Path
	}
	return strings.HasSuffix(h.Name, "azure-workload-identity.io") || strings.HasSuffix(path, "/mutate-v1-pod")
}

const installFix = "az aks update -g GROUP -n CLUSTER --enable-workload-identity, or install the webhook's chart"

func (w *walk) findWebhook(ctx context.Context) {
	items, err := w.Cluster.List(ctx, kube.Ref{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration"}, kube.ListOptions{})
	if err != nil {
		w.unasked(linkWebhook, err)
		w.skip(linkCertificate, "the webhook's configuration could not be read")
		return
	}
	var all []webhook
	for _, item := range items {
		var c configuration
		if json.Unmarshal(item, &c) != nil {
			continue
		}
		for _, h := range c.Webhooks {
			if h.configuration = c.Metadata.Name; h.ours() {
				all = append(all, h)
			}
		}
	}
	if len(all) == 0 {
		w.problem(linkWebhook, installFix, "the cluster has no webhook for workload identity")
		w.skip(linkCertificate, "because of %s", linkWebhook)
		return
	}
	chosen, why := w.choose(ctx, all)
	if chosen == nil {
		w.problem(linkWebhook, "change its selectors, or the labels of the namespace", "%s", why)
		w.skip(linkCertificate, "because of %s", linkWebhook)
		return
	}
	if chosen.FailurePolicy == "Ignore" {
		w.warn(linkWebhook, "set failurePolicy: Fail", "%s takes the pod, but with failurePolicy Ignore pods start without an identity while it is away", chosen.configuration)
	} else {
		w.ok(linkWebhook, "%s takes the pod", chosen.configuration)
	}
	w.checkCertificate(ctx, chosen)
}

// choose finds the webhook that takes the pod, or says why none does.
func (w *walk) choose(ctx context.Context, all []webhook) (*webhook, string) {
	var ns struct {
		Metadata meta `json:"metadata"`
	}
	known := w.read(ctx, "v1", "Namespace", "", w.report.Namespace, &ns) == nil
	labels := map[string]string{}
	for k, v := range w.pod.Metadata.Labels {
		labels[k] = v
	}
	labels[wi.UseLabel] = "true" // the label has a link of its own
	why := ""
	for i := range all {
		h := &all[i]
		if ok, err := kube.Selects(h.Objects, labels); err != nil || !ok {
			why = fmt.Sprintf("%s does not take the pod: its objectSelector is %s", h.configuration, h.Objects)
			continue
		}
		if ok, err := kube.Selects(h.Namespaces, ns.Metadata.Labels); known && (err != nil || !ok) {
			why = fmt.Sprintf("%s does not take pods of namespace %s: its namespaceSelector is %s", h.configuration, w.report.Namespace, h.Namespaces)
			continue
		}
		return h, ""
	}
	return nil, why
}

// checkCertificate looks at what the API server must trust and reach to ask the
// webhook.
func (w *walk) checkCertificate(ctx context.Context, h *webhook) {
	restart := "restart the webhook, so that it renews its certificate and its configuration"
	roots, err := w.bundle(h.Client.CA)
	if err != nil {
		w.problem(linkCertificate, restart, "%s: %v", h.configuration, err)
		return
	}
	if h.Client.Service == nil {
		w.checkURL(ctx, h, roots)
		return
	}
	s := h.Client.Service
	ready, err := w.readyEndpoints(ctx, s)
	switch {
	case errors.Is(err, kube.ErrNotFound):
		w.problem(linkCertificate, installFix, "%s names the service %s in namespace %s, which is not there", h.configuration, s.Name, s.Namespace)
		return
	case err == nil && ready == 0:
		w.problem(linkCertificate, fmt.Sprintf("kubectl get pods -n %s; kubectl describe service %s -n %s", s.Namespace, s.Name, s.Namespace),
			"no pod behind the service %s in namespace %s is ready", s.Name, s.Namespace)
		return
	}
	if fault := w.servedCertificate(ctx, s, roots); fault != "" {
		w.problem(linkCertificate, restart, "%s", fault)
		return
	}
	w.ok(linkCertificate, "the CA is valid, and %d pods serve %s", ready, s.host())
}

// bundle reads a caBundle, of which one certificate must be valid now. An empty
// one leaves the choice to the API server.
func (w *walk) bundle(text []byte) (*x509.CertPool, error) {
	if len(text) == 0 {
		return nil, nil
	}
	pool, valid, ends := x509.NewCertPool(), 0, time.Time{}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		pool.AddCert(c)
		ends = c.NotAfter
		if now := w.Now(); now.After(c.NotBefore) && now.Before(c.NotAfter) {
			valid++
		}
	}
	switch {
	case ends.IsZero():
		return nil, errors.New("its caBundle holds no certificate")
	case valid == 0:
		return nil, fmt.Errorf("the CA in its caBundle ended at %s", ends.UTC().Format(time.RFC3339))
	}
	return pool, nil
}

// checkURL calls a webhook that is outside the cluster, as the API server would.
func (w *walk) checkURL(ctx context.Context, h *webhook, roots *x509.CertPool) {
	u, err := url.Parse(h.Client.URL)
	if err != nil || u.Host == "" {
		w.problem(linkCertificate, installFix, "%s has a URL that is none", h.configuration)
		return
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: w.Now}}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err == nil {
		conn.Close()
		w.ok(linkCertificate, "%s answers with a certificate of the configured CA", u.Host)
		return
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		w.problem(linkCertificate, "renew the configuration: az aks update -g GROUP -n CLUSTER --enable-workload-identity", "%s: %v", u.Host, err)
		return
	}
	w.warn(linkCertificate, "is the server running? The API server must reach it too", "%s does not answer from here: %v", u.Host, err)
}

func (w *walk) readyEndpoints(ctx context.Context, s *service) (ready int, err error) {
	var found struct{}
	if err := w.read(ctx, "v1", "Service", s.Namespace, s.Name, &found); err != nil {
		return 0, err
	}
	items, err := w.Cluster.List(ctx, kube.Ref{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice", Namespace: s.Namespace},
		kube.ListOptions{LabelSelector: "kubernetes.io/service-name=" + s.Name})
	if err != nil {
		return 0, err
	}
	for _, item := range items {
		var slice struct {
			Endpoints []struct {
				Conditions struct {
					Ready *bool `json:"ready"`
				} `json:"conditions"`
			} `json:"endpoints"`
		}
		if json.Unmarshal(item, &slice) != nil {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				ready++
			}
		}
	}
	return ready, nil
}

// webhookSecrets are where upstream's webhook and Lanyard's keep what they serve.
var webhookSecrets = []string{"azure-wi-webhook-server-cert"}

// servedCertificate compares the certificate that the webhook serves with the CA
// that the API server expects. What may not be read is not at fault.
func (w *walk) servedCertificate(ctx context.Context, s *service, roots *x509.CertPool) string {
	for _, name := range webhookSecrets {
		var secret struct {
			Data map[string][]byte `json:"data"`
		}
		if w.read(ctx, "v1", "Secret", s.Namespace, name, &secret) != nil || roots == nil {
			continue
		}
		block, _ := pem.Decode(secret.Data["tls.crt"])
		if block == nil {
			return fmt.Sprintf("secret %s in namespace %s has no certificate in tls.crt", name, s.Namespace)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil {
			_, err = c.Verify(x509.VerifyOptions{Roots: roots, DNSName: s.host(), CurrentTime: w.Now()})
		}
		if err != nil {
			return fmt.Sprintf("the webhook's certificate (secret %s in namespace %s) is not what its configuration expects: %v", name, s.Namespace, err)
		}
	}
	return ""
}

// askWebhook has the API server say what it would make of such a pod now. It
// makes none.
func (w *walk) askWebhook(ctx context.Context) {
	body, err := json.Marshal(w.likeness())
	if err != nil {
		w.unasked(linkAnswer, err)
		return
	}
	b, warnings, err := w.Cluster.DryRun(ctx, body)
	switch {
	case err == nil:
		w.would = new(pod)
		if err := json.Unmarshal(b, w.would); err != nil {
			w.unasked(linkAnswer, err)
			return
		}
		if injected, _ := w.would.Spec.Containers[0].value(wi.TokenFileEnv); injected == "" {
			w.problem(linkAnswer, "look at the webhook's own log; is its failurePolicy Ignore?", "a pod that is created now gets no identity")
			return
		}
		if len(warnings) > 0 {
			w.warn(linkAnswer, "fix what it says", "a pod that is created now gets an identity, with the words: %s", strings.Join(warnings, "; "))
			return
		}
		w.ok(linkAnswer, "a pod that is created now gets an identity")
	case errors.Is(err, kube.ErrForbidden) && !strings.Contains(err.Error(), "admission"):
		w.skip(linkAnswer, "trying a pod is not allowed: %v", err)
	case strings.Contains(err.Error(), "failed calling webhook"):
		w.problem(linkAnswer, "kubectl logs of the webhook; does the API server reach and trust it?", "%v", err)
	case strings.Contains(err.Error(), "admission webhook"):
		w.problem(linkAnswer, "fix what it says", "%v", err)
	default:
		w.skip(linkAnswer, "a trial pod is refused for another reason: %v", err)
	}
}

// likeness is a small pod that the webhook must treat as it treats the real one.
func (w *walk) likeness() map[string]any {
	yes, no := true, false
	annotations := map[string]string{}
	for k, v := range w.pod.Metadata.Annotations {
		if strings.HasPrefix(k, wi.Prefix) && k != wi.SkipAnnotation {
			annotations[k] = v
		}
	}
	labels := map[string]string{wi.UseLabel: "true"}
	for k, v := range w.pod.Metadata.Labels {
		labels[k] = v
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"generateName": "lanyard-doctor-", "namespace": w.report.Namespace, "labels": labels, "annotations": annotations},
		"spec": map[string]any{
			"serviceAccountName": w.pod.Spec.Account, "automountServiceAccountToken": no,
			"securityContext": map[string]any{"runAsNonRoot": yes, "runAsUser": 65532, "seccompProfile": map[string]any{"type": "RuntimeDefault"}},
			"containers": []any{map[string]any{
				"name": "doctor", "image": "localhost/none",
				"securityContext": map[string]any{"allowPrivilegeEscalation": no, "capabilities": map[string]any{"drop": []string{"ALL"}}},
				"resources": map[string]any{
					"requests": map[string]string{"cpu": "1m", "memory": "1Mi"}, "limits": map[string]string{"cpu": "100m", "memory": "32Mi"},
				},
			}},
		},
	}
}
