package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// authorities are Azure's own token services: a token may go to these, and to the
// configured server, and nowhere else.
var authorities = []string{"AzureCloud", "AzureUSGovernment", "AzureChinaCloud"}

// authority is where the pod would exchange its token, if doctor may too.
func (w *walk) authority() (login, scope string, ok bool) {
	if w.Server != nil {
		return w.Server.LoginURL(), w.Server.ManagementURL(), true
	}
	own := strings.TrimRight(w.pod.value(wi.AuthorityEnv), "/")
	for _, name := range authorities {
		if c, _ := client.CloudByName(name); c.Login == own {
			return c.Login, c.Management, true
		}
	}
	return "", "", false
}

func (w *walk) checkAuthority(context.Context) {
	got := w.pod.value(wi.AuthorityEnv)
	if w.Server == nil {
		w.skip(linkAuthority, "%s; the pod asks %s", needsServer, got)
		return
	}
	want := w.Server.LoginURL() + "/"
	public, _ := client.CloudByName("AzureCloud")
	fix := "tell the webhook the authority " + want + ", and re-create the pod"
	switch {
	case got == want:
		w.ok(linkAuthority, "%s", got)
	case w.AzureNames && got == public.Login+"/":
		w.ok(linkAuthority, "%s, for which this server answers too", got)
	case got+"/" == want:
		w.warn(linkAuthority, fix, "%s has no slash at its end: some clients join it with the tenant as it is", got)
	case strings.HasPrefix(got, public.Login):
		w.problem(linkAuthority, fix, "the pod asks Azure (%s), not this server; to look at Azure give --azure-env", got)
	default:
		w.problem(linkAuthority, fix, "the pod asks %s, and this server is %s", got, want)
	}
	if w.report.Links[len(w.report.Links)-1].Status != OK {
		return
	}
	tenant := w.pod.value(wi.TenantIDEnv)
	if w.TenantID != "" && tenant != "" && !strings.EqualFold(tenant, w.TenantID) && tenant != "adfs" {
		w.report.Links[len(w.report.Links)-1] = Link{linkAuthority, Problem,
			fmt.Sprintf("the pod's tenant is %s, and this server's is %s", tenant, w.TenantID),
			"fix the annotation " + wi.TenantIDAnnotation + " of the service account, or the webhook's tenant, and re-create the pod"}
	}
}

// caVariables are the runtimes' own names for a file of CAs.
var caVariables = []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"}

func (w *walk) checkTrust(context.Context) {
	if !w.PrivateCA {
		w.skip(linkTrust, "the server's certificate is not of a private CA that is known here")
		return
	}
	for _, c := range w.pod.Spec.Containers {
		if w.pod.skipped(c.Name) || strings.HasPrefix(c.Name, "azwi-proxy") {
			continue
		}
		set := ""
		for _, name := range caVariables {
			if v, ok := c.value(name); ok {
				set = name
				if v != "" && !c.mounts(v) {
					w.warn(linkTrust, "is the CA in the image?", "container %s has %s=%s, and mounts nothing there", c.Name, name, v)
					return
				}
			}
		}
		if set == "" {
			w.problem(linkTrust, "have the webhook inject the CA (its trust setting), and re-create the pod",
				"container %s has none of %s: it cannot trust the server's private CA", c.Name, strings.Join(caVariables, ", "))
			return
		}
	}
	w.ok(linkTrust, "the containers are given a CA file")
}

func (c *container) mounts(path string) bool {
	for _, m := range c.Mounts {
		if path == m.Path || strings.HasPrefix(path, strings.TrimSuffix(m.Path, "/")+"/") {
			return true
		}
	}
	return false
}

// checkNames can only judge what the pod itself says: the rest is the cluster's DNS.
func (w *walk) checkNames(context.Context) {
	host := ""
	if u, err := url.Parse(w.pod.value(wi.AuthorityEnv)); err == nil {
		host = u.Hostname()
	}
	for _, a := range w.pod.Spec.Aliases {
		for _, n := range a.Names {
			if n == host {
				w.ok(linkNames, "hostAliases have %s at %s", host, a.IP)
				return
			}
		}
	}
	if strings.HasSuffix(host, ".localhost") {
		w.warn(linkNames, "give the server an address that pods can resolve (lanyard up --address), or hostAliases",
			"%s is the pod's own loopback: clients resolve names below localhost to it", host)
		return
	}
	w.skip(linkNames, "whether the pod resolves %s cannot be seen from here: kubectl exec %s -- nslookup %s", host, w.report.Pod, host)
}

// exchange presents the token as the workload would.
func (w *walk) exchange(ctx context.Context) {
	if w.pod.bound() {
		w.skip(linkExchange, boundWords)
		return
	}
	if w.bearer == "" || w.clientID == "" {
		w.skip(linkExchange, "there is no token or no client id to present")
		return
	}
	login, resource, ok := w.authority()
	if !ok {
		w.skip(linkExchange, "%s; the token is shown to known token services only", needsServer)
		return
	}
	tenant := cmp.Or(w.pod.value(wi.TenantIDEnv), w.TenantID)
	if tenant == "" {
		w.skip(linkExchange, "the tenant is not known")
		return
	}
	if w.pod.value("KEYVAULT_URL") != "" {
		resource = w.vaultResource()
	}
	at := login + "/" + url.PathEscape(tenant) + "/oauth2/v2.0/token"
	if tenant == "adfs" {
		at = login + "/adfs/oauth2/token" // AD FS has no v2.0
	}
	token, err := w.present(ctx, at, resource)
	if refused, ok := errors.AsType[*refusal](err); ok {
		w.problem(linkExchange, refused.fix(), "%s", refused.Error())
		return
	}
	if err != nil {
		w.problem(linkExchange, "is the token service running, and reachable from here?", "the token service does not answer: %v", err)
		return
	}
	w.access = token
	w.ok(linkExchange, "%s gave an access token for %s", login, resource)
}

// vaultResource is what tokens for the pod's vault are asked for.
func (w *walk) vaultResource() string {
	zone := ""
	if u, err := url.Parse(w.pod.value("KEYVAULT_URL")); err == nil {
		_, zone, _ = strings.Cut(u.Hostname(), ".")
	}
	for _, name := range authorities {
		if c, _ := client.CloudByName(name); c.VaultZone == zone && (w.Server == nil || w.AzureNames) {
			return "https://" + zone
		}
	}
	if w.Server == nil {
		public, _ := client.CloudByName("AzureCloud")
		return "https://" + public.VaultZone
	}
	return w.Server.VaultResource()
}

// refusal is the token service's answer.
type refusal struct{ code, description string }

func (r *refusal) Error() string { return r.description }

var aadsts = regexp.MustCompile(`^AADSTS[0-9]+`)

// fixes of the refusals that the links before this one cannot foresee.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
var fixes = map[string]string{
	"AADSTS700016":  "annotate the service account with the client id of an identity in this tenant",
	"AADSTS70021":   "make a federated credential with exactly this issuer, subject and audience",
	"AADSTS700211":  "make a federated credential with exactly the token's issuer, a slash at its end included",
	"AADSTS700212":  "make a federated credential with the token's audience",
	"AADSTS700213":  "make a federated credential with the token's subject",
	"AADSTS700024":  "set the clocks of the cluster and of the token service",
	"AADSTS700027":  "publish the cluster's present keys: the one that signed is not known",
	"AADSTS7000272": "publish the cluster's present keys: the one that signed is not known",
	"AADSTS50027":   "the token is damaged: look at kube-apiserver's signing key",
	"AADSTS90002":   "fix the tenant: the annotation azure.workload.identity/tenant-id, or the webhook's",
	"AADSTS50166":   "the issuer's address must be public and its certificate trusted: lanyard issuer publish",
	"AADSTS501661":  "the issuer's address must be public and its certificate trusted: lanyard issuer publish",
}

func (r *refusal) fix() string {
	return cmp.Or(fixes[aadsts.FindString(r.description)], "see https://learn.microsoft.com/entra/identity-platform/reference-error-codes")
}

// present asks for an access token with the service account's token in hand. No
// error holds either.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
func (w *walk) present(ctx context.Context, at, resource string) (string, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {w.clientID}, "scope": {resource + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {w.bearer},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hc := w.HTTP
	if w.Server != nil {
		hc = w.Server.HTTP()
	}
	res, err := hc.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return "", err
	}
	var answer struct {
		Token       string `json:"access_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(b, &answer) != nil {
		return "", fmt.Errorf("%s answers %s without JSON", at, res.Status)
	}
	if answer.Token == "" {
		said, _, _ := strings.Cut(answer.Description, " Trace ID:")
		return "", &refusal{answer.Error, strings.Join(strings.Fields(cmp.Or(said, answer.Error, res.Status)), " ")}
	}
	return answer.Token, nil
}
