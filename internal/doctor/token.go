package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// claims of the service account's token, unverified: they say what will be
// presented, and nothing is decided on them.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audiences audience `json:"aud"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`

	keyID string
}

// audience is one or several in JSON. https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// parseToken reads a token's claims. No error quotes it.
func parseToken(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("not a JWT")
	}
	var head struct {
		KeyID string `json:"kid"`
	}
	for i, into := range []any{&head, &c} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil {
			return claims{}, errors.New("not a JWT")
		}
	}
	c.keyID = head.KeyID
	return c, nil
}

// maxSkew is what verifiers forgive.
const maxSkew = 5 * time.Minute

// makeToken has the cluster make the token that the kubelet would put into the pod.
func (w *walk) makeToken(ctx context.Context) {
	ns, name := w.report.Namespace, w.pod.Spec.Account
	t, err := w.Cluster.CreateToken(ctx, kube.TokenRequest{
		Namespace: ns, Account: name, Audiences: []string{w.pod.audience()}, PodName: w.pod.Metadata.Name, PodUID: w.pod.Metadata.UID,
	})
	if errors.Is(err, kube.ErrForbidden) {
		w.skip(linkToken, "making a token is not allowed: %v", err)
		return
	}
	if err != nil {
		w.problem(linkToken, "kubectl create token "+name+" -n "+ns, "the cluster makes no token: %v", err)
		return
	}
	if w.claims, err = parseToken(t.Token); err != nil {
		w.problem(linkToken, "look at kube-apiserver's --service-account-* flags", "the cluster's token is %v", err)
		return
	}
	w.bearer = t.Token
	c, now := &w.claims, w.Now()
	subject := wi.Subject{Namespace: ns, Name: name}.String()
	switch {
	case c.Subject != subject:
		w.problem(linkToken, "look at kube-apiserver's flags", "the token's subject is %s, not %s", c.Subject, subject)
	case !slices.Contains(c.Audiences, w.pod.audience()):
		w.problem(linkToken, "look at kube-apiserver's flags", "the token's audience is %s, not %s", strings.Join(c.Audiences, " "), w.pod.audience())
	case now.Add(maxSkew).Before(time.Unix(c.NotBefore, 0)), now.Add(-maxSkew).After(time.Unix(c.Expires, 0)):
		w.problem(linkToken, "set the clocks: run a time service on the cluster's machines and here",
			"the token is good from %s to %s, and here it is %s", clock(c.NotBefore), clock(c.Expires), now.UTC().Format(time.RFC3339))
	case w.pod.audience() != wi.Audience && !w.pod.bound():
		w.warn(linkToken, "set the webhook's audience to "+wi.Audience+", unless the federated credential names another", "issuer %s, subject %s, audience %s", c.Issuer, c.Subject, w.pod.audience())
	default:
		w.ok(linkToken, "issuer %s, subject %s, audience %s", c.Issuer, c.Subject, w.pod.audience())
	}
}

func clock(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

// judgeAttached says whether the server can read the keys of a cluster that is enabled.
func (w *walk) judgeAttached(k manage.Cluster) {
	switch a := k.Properties.Attachment; {
	case a.KeysError != "":
		w.problem(linkIssuer, attachAgain(k.Name, k.ID), "cluster %s: %s", k.Name, a.Attention)
	case a.Attention != "":
		w.warn(linkIssuer, attachAgain(k.Name, k.ID), "cluster %s: %s", k.Name, a.Attention)
	default:
		w.ok(linkIssuer, "%s is that of the attached cluster %s", w.claims.Issuer, k.Name)
	}
}

// attachAgain gives a cluster's server a credential that works.
func attachAgain(name, id string) string {
	return "lanyard cluster attach " + name + " -g " + groupOf(id) + " --kubeconfig FILE"
}

// checkIssuer says whether the server has, or can find, the key that signed the token.
func (w *walk) checkIssuer(ctx context.Context) {
	if w.bearer == "" {
		w.skip(linkIssuer, "there is no token to look at")
		return
	}
	if w.Server == nil || w.Server.Azure {
		w.checkPublished(ctx, "lanyard issuer publish, to the place that the issuer's address names")
		return
	}
	clusters, err := w.Server.Clusters("").List(ctx)
	if err != nil {
		w.unasked(linkIssuer, err)
		return
	}
	for _, k := range manage.Parts(clusters) {
		if k.Properties.Attachment.Issuer != w.claims.Issuer {
			continue
		}
		if !k.Properties.OIDC.Enabled {
			// The credential names the issuer by now, so enabling it is taking it over.
			w.problem(linkIssuer, fmt.Sprintf("lanyard cluster attach %s -g %s --enable-oidc-issuer --take-over-issuer", k.Name, groupOf(k.ID)), "cluster %s is attached, but its issuer is not enabled", k.Name)
			return
		}
		w.judgeAttached(k)
		return
	}
	settings, err := w.Server.Issuers().List(ctx)
	if err != nil {
		w.unasked(linkIssuer, err)
		return
	}
	for _, s := range manage.Parts(settings) {
		switch {
		case s.Properties.URL != w.claims.Issuer:
		case len(s.Properties.Keys) == 0:
			w.ok(linkIssuer, "the server knows the CA of %s", w.claims.Issuer)
			return
		case hasKey(s.Properties.Keys, w.claims.keyID):
			w.ok(linkIssuer, "the server has the keys of %s, this token's among them", w.claims.Issuer)
			return
		default:
			w.problem(linkIssuer, "kubectl get --raw /openid/v1/jwks > jwks.json; lanyard issuer set "+w.claims.Issuer+" --jwks jwks.json",
				"the server has keys of %s, but not %s, which signed this token", w.claims.Issuer, w.claims.keyID)
			return
		}
	}
	w.checkPublished(ctx, "lanyard cluster attach NAME --enable-oidc-issuer")
}

// checkPublished looks for the key where any verifier would: in the documents at
// the issuer's address.
func (w *walk) checkPublished(ctx context.Context, fix string) {
	iss := w.claims.Issuer
	if !strings.HasPrefix(iss, "https://") {
		w.problem(linkIssuer, fix, "nobody can ask the issuer %s: it is not https", iss)
		return
	}
	var d struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := w.fetch(ctx, strings.TrimSuffix(iss, "/")+"/.well-known/openid-configuration", &d); err != nil {
		w.problem(linkIssuer, fix, "nobody is known to vouch for issuer %s: %v", iss, err)
		return
	}
	if d.Issuer != iss {
		w.problem(linkIssuer, fix, "the document at %s names the issuer %s", iss, d.Issuer)
		return
	}
	if !strings.HasPrefix(d.Keys, "https://") {
		w.problem(linkIssuer, fix, "the issuer's keys are not at an https address: %s", d.Keys)
		return
	}
	var keys json.RawMessage
	if err := w.fetch(ctx, d.Keys, &keys); err != nil {
		w.problem(linkIssuer, fix, "the issuer's keys cannot be read: %v", err)
		return
	}
	if !hasKey(keys, w.claims.keyID) {
		w.problem(linkIssuer, fix, "the published keys of %s lack %s, which signed this token", iss, w.claims.keyID)
		return
	}
	w.ok(linkIssuer, "%s publishes the key of this token", iss)
}

func hasKey(jwks []byte, id string) bool {
	var s struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	return json.Unmarshal(jwks, &s) == nil && slices.ContainsFunc(s.Keys, func(k struct {
		ID string `json:"kid"`
	}) bool {
		return k.ID == id
	})
}

func (w *walk) fetch(ctx context.Context, at string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	res, err := w.HTTP.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", at, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if json.Unmarshal(b, into) != nil {
		return fmt.Errorf("%s does not answer with JSON", at)
	}
	return nil
}
