package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// Config for Pod.
type Config struct {
	Cluster *kube.Cluster
	// Server is Lanyard, or Azure as seen by whoever is signed in. Without it the
	// links that need it are skipped.
	Server *manage.Client
	// TenantID is the server's; empty is unknown.
	TenantID string
	// AzureNames says that the server also answers for Azure's own names.
	AzureNames bool
	// PrivateCA says that workloads trust the server only if they are given its CA.
	PrivateCA bool
	// HTTP asks issuers and public token services. Default: a client with a
	// timeout of ten seconds.
	HTTP *http.Client
	// Now defaults to time.Now.
	Now func() time.Time
}

// Status of a link.
type Status string

// The states of a link. A warning alone breaks nothing.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Problem Status = "problem"
	Skipped Status = "skipped"
)

// Link is one thing that must hold for the next to work.
type Link struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// Report is what was found. Its JSON form is stable.
type Report struct {
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Healthy   bool   `json:"healthy"`
	Broken    string `json:"broken,omitempty"` // the first broken link's name
	Links     []Link `json:"links"`
}

// Finish says whether the links hold, and which is the first that does not.
func (r *Report) Finish() {
	r.Healthy = true
	for _, l := range r.Links {
		if l.Status == Problem {
			r.Healthy, r.Broken = false, l.Name
			return
		}
	}
}

// The links of a pod, in their order.
const (
	linkPod         = "pod"
	linkLabel       = "label"
	linkAccount     = "service-account"
	linkClientID    = "client-id"
	linkWebhook     = "webhook"
	linkCertificate = "webhook-certificate"
	linkAnswer      = "webhook-answer"
	linkInjection   = "injection"
	linkAuthority   = "authority"
	linkTrust       = "trust"
	linkNames       = "names"
	linkToken       = "token"
	linkIssuer      = "issuer"
	linkIdentity    = "identity"
	linkFederated   = "federated-credential"
	linkExchange    = "exchange"
	linkVault       = "vault"
)

// walk is one look at one pod. Its fields are filled in by the links that find
// them out.
type walk struct {
	Config
	report Report

	pod      pod
	account  account
	clientID string
	would    *pod   // what the webhook makes of such a pod; nil if nobody could say
	bearer   string // the service account's token, and never shown
	claims   claims
	identity identity
	access   string // the access token that the exchange gave
}

// Pod walks the chain of one pod. The error is for what prevents any look at all.
func Pod(ctx context.Context, c Config, namespace, name string) (*Report, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	w := &walk{Config: c, report: Report{Namespace: namespace, Pod: name, Links: []Link{}}}
	if _, err := c.Cluster.Raw(ctx, "/version"); err != nil {
		return nil, err
	}
	for _, link := range []struct {
		name  string
		needs []string // links whose break says enough
		check func(context.Context)
	}{
		{linkPod, nil, w.findPod},
		{linkLabel, []string{linkPod}, w.checkLabel},
		{linkAccount, []string{linkPod}, w.findAccount},
		{linkClientID, []string{linkAccount}, w.checkClientID},
		{linkWebhook, []string{linkPod}, w.findWebhook},
		{linkAnswer, []string{linkLabel, linkAccount, linkWebhook, linkCertificate}, w.askWebhook},
		{linkInjection, []string{linkPod, linkLabel, linkClientID, linkWebhook, linkCertificate, linkAnswer}, w.checkInjection},
		{linkAuthority, []string{linkInjection}, w.checkAuthority},
		{linkTrust, []string{linkInjection}, w.checkTrust},
		{linkNames, []string{linkInjection}, w.checkNames},
		{linkToken, []string{linkAccount}, w.makeToken},
		{linkIssuer, []string{linkToken}, w.checkIssuer},
		{linkIdentity, []string{linkClientID}, w.findIdentity},
		{linkFederated, []string{linkToken, linkIdentity}, w.checkFederated},
		{linkExchange, []string{linkToken, linkIssuer, linkIdentity, linkFederated, linkAuthority}, w.exchange},
		{linkVault, []string{linkExchange}, w.checkVault},
	} {
		if broken := w.firstBroken(link.needs); broken != "" {
			w.skip(link.name, "because of %s", broken)
			continue
		}
		link.check(ctx)
	}
	w.report.Finish()
	return &w.report, nil
}

// firstBroken is the first of some links that does not hold, or rests on one that
// does not.
func (w *walk) firstBroken(needs []string) string {
	for _, l := range w.report.Links {
		for _, name := range needs {
			if l.Name != name {
				continue
			}
			if l.Status == Problem {
				return name
			}
			if on, ok := strings.CutPrefix(l.Detail, "because of "); ok && l.Status == Skipped {
				return on
			}
		}
	}
	return ""
}

func (w *walk) add(name string, s Status, fix, format string, args ...any) {
	w.report.Links = append(w.report.Links, Link{name, s, fmt.Sprintf(format, args...), fix})
}

func (w *walk) ok(name, format string, args ...any)   { w.add(name, OK, "", format, args...) }
func (w *walk) skip(name, format string, args ...any) { w.add(name, Skipped, "", format, args...) }
func (w *walk) problem(name, fix, format string, args ...any) {
	w.add(name, Problem, fix, format, args...)
}
func (w *walk) warn(name, fix, format string, args ...any) {
	w.add(name, Warning, fix, format, args...)
}

// unasked words an error that kept a link from being looked at.
func (w *walk) unasked(name string, err error) { w.skip(name, "could not be looked at: %v", err) }
