package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/manage"
)

// probe is a secret that no vault has: asking for it tells whether secrets may be
// read, and reads none.
const probe = "lanyard-doctor"

// checkVault asks the vault that the pod names, as the pod.
func (w *walk) checkVault(ctx context.Context) {
	at := w.pod.value("KEYVAULT_URL")
	if at == "" {
		w.skip(linkVault, "the pod names no vault in KEYVAULT_URL")
		return
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		w.problem(linkVault, "set KEYVAULT_URL to the vault's vaultUri", "KEYVAULT_URL is %q, not an https address", at)
		return
	}
	if w.access == "" {
		w.skip(linkVault, "there is no access token to try")
		return
	}
	if _, zone, _ := strings.Cut(u.Host, "."); "https://"+zone != w.vaultResource() {
		w.problem(linkVault, "set KEYVAULT_URL to the vault's vaultUri", "%s is no vault of %s", at, w.vaultResource())
		return // and it does not get the token
	}
	secret := w.pod.value("SECRET_NAME")
	name := secret
	if name == "" {
		name = probe
	}
	status, code, err := w.readSecret(ctx, "https://"+u.Host, name)
	vault, _, _ := strings.Cut(u.Host, ".")
	switch {
	case err != nil:
		w.problem(linkVault, "az keyvault list --query '[].properties.vaultUri'", "%s does not answer: %v", at, err)
	case status == http.StatusOK:
		w.ok(linkVault, "%s may read secret %s", w.identity.words(), secret)
	case status == http.StatusNotFound && code == "SecretNotFound" && secret != "":
		w.problem(linkVault, fmt.Sprintf("az keyvault secret set --vault-name %s --name %s --value VALUE", vault, secret),
			"%s may read secrets, but vault %s has no secret %s", w.identity.words(), vault, secret)
	case status == http.StatusNotFound && code == "SecretNotFound":
		w.ok(linkVault, "%s may read secrets of vault %s", w.identity.words(), vault)
	case status == http.StatusForbidden:
		w.explainForbidden(ctx, vault)
	case status == http.StatusNotFound:
		w.problem(linkVault, "az keyvault list --query '[].properties.vaultUri'", "there is no vault %s", vault)
	default:
		w.problem(linkVault, "az keyvault show -n "+vault, "vault %s answers %d %s", vault, status, code)
	}
}

func (i identity) words() string {
	if i.name == "" {
		return "the identity"
	}
	return i.name
}

// explainForbidden tells which kind of permission the vault wants.
func (w *walk) explainForbidden(ctx context.Context, vault string) {
	policy := fmt.Sprintf("az keyvault set-policy --name %s --secret-permissions get --spn %s", vault, w.clientID)
	if w.Server == nil {
		w.problem(linkVault, policy+", or a role such as Key Vault Secrets User", "the identity may not read secrets of vault %s", vault)
		return
	}
	found, err := w.Server.Vaults("").List(ctx)
	all := manage.Parts(found)
	at := slices.IndexFunc(all, func(v manage.Vault) bool { return strings.EqualFold(v.Name, vault) })
	switch {
	case err != nil || at < 0:
		w.problem(linkVault, policy, "%s may not read secrets of vault %s", w.identity.words(), vault)
	case all[at].Properties.Roles:
		w.problem(linkVault, fmt.Sprintf("az role assignment create --role \"Key Vault Secrets User\" --assignee-object-id %s --assignee-principal-type ServicePrincipal --scope %s", w.identity.principalID, all[at].ID),
			"vault %s goes by roles, and %s has none there that reads secrets", vault, w.identity.words())
	default:
		has := "none there"
		for _, p := range all[at].Properties.Policies {
			if strings.EqualFold(p.ObjectID, w.identity.principalID) {
				has = "one that permits: " + strings.Join(p.Permissions.Secrets, " ")
			}
		}
		w.problem(linkVault, policy, "vault %s goes by access policies, and %s has %s", vault, w.identity.words(), has)
	}
}

// readSecret asks for a secret and throws its value away unread.
func (w *walk) readSecret(ctx context.Context, vault, name string) (status int, code string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, vault+"/secrets/"+url.PathEscape(name)+"?api-version=7.4", nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+w.access)
	hc := w.HTTP
	if w.Server != nil {
		hc = w.Server.HTTP()
	}
	res, err := hc.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return 0, "", err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, "", nil
	}
	var answer struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil {
		_ = json.Unmarshal(b, &answer) // the status says enough
	}
	return res.StatusCode, answer.Error.Code, err
}
