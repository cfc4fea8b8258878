package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Roles that the rows assign: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
const (
	roleSecretsOfficer = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
	roleSecretsUser    = "4633458b-17de-408a-b874-0445c86b69e6"
)

func uuid() string { return model.NewUUID() }

func issuerKey(url string) string { return model.IssuerKey(url) }

func policy(tenant, object string, secrets ...string) map[string]any {
	return map[string]any{"tenantId": tenant, "objectId": object, "permissions": map[string]any{"secrets": secrets}}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// secretForm is the administrator's sign-in with its secret.
func (l *lab) secretForm(scope string) request {
	return l.tokenRequest(url.Values{"client_id": {l.Client}, "client_secret": {l.Secret}, "scope": {scope + "/.default"}})
}

// exchangeForm is a workload's: the token of a service account for one of ours.
func (l *lab) exchangeForm(client, account string) (request, error) {
	assertion, err := l.issuer.Token("default", account, audience, time.Now())
	return l.tokenRequest(url.Values{
		"client_id":             {client},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
		"scope":                 {"https://vault." + domain + "/.default"},
	}), err
}

func (l *lab) tokenRequest(form url.Values) request {
	form.Set("grant_type", "client_credentials")
	return request{method: "POST", url: loginURL + "/" + l.ID + "/oauth2/v2.0/token", form: form.Encode()}
}

// Secrets. A name in a vault.

func (l *lab) secret(method, vault, path, body string) request {
	return request{method: method, url: vaultURL(vault) + path + "?api-version=7.4", token: l.vault, body: body}
}

func (l *lab) setSecret(name, value string) request {
	return l.secret("PUT", vaultName, "/secrets/"+name, text(map[string]string{"value": value}))
}

func (l *lab) getSecret(name string) request {
	return l.secret("GET", vaultName, "/secrets/"+name+"/", "")
}

func (l *lab) deleteSecret(name string) request {
	return l.secret("DELETE", vaultName, "/secrets/"+name, "")
}

func (l *lab) purgeSecret(name string) request {
	return l.secret("DELETE", vaultName, "/deletedsecrets/"+name, "")
}

// secretValue is the value in an answer to a set or a get.
func secretValue(a answer) string {
	var s struct{ Value string }
	if a.in(&s) != nil {
		return ""
	}
	return s.Value
}

// Resource Manager.

func (l *lab) vaultPath(name string) string {
	return l.group + "/providers/Microsoft.KeyVault/vaults/" + name
}

func (l *lab) identityPath(name string) string {
	return l.group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + name
}

func (l *lab) credential(method, identity, name, account string) request {
	r := request{
		method: method, token: l.arm,
		url: l.identityPath(identity) + "/federatedIdentityCredentials/" + name + "?api-version=2023-01-31",
	}
	if method == "PUT" {
		r.body = text(map[string]any{"properties": map[string]any{
			"issuer": l.issuer.URL, "subject": "system:serviceaccount:default:" + account, "audiences": []string{audience},
		}})
	}
	return r
}

func (l *lab) assignment(scope, name string) string {
	return scope + "/providers/Microsoft.Authorization/roleAssignments/" + name + "?api-version=2022-04-01"
}

func (l *lab) assign(role, principal string) any {
	return map[string]any{"properties": map[string]any{
		"roleDefinitionId": "/subscriptions/" + l.Subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + role,
		"principalId":      principal, "principalType": "ServicePrincipal",
	}}
}

// identity is one that was made for a row.
type identity struct {
	name, client, principal string
	token                   string // for vaults; of a credential that stays
}

// newIdentity makes an identity with one credential, and signs it in.
func (l *lab) newIdentity(ctx context.Context, name string) (identity, error) {
	var made struct {
		Properties struct{ ClientID, PrincipalID string }
	}
	if err := l.put(ctx, l.identityPath(name)+"?api-version=2023-01-31", location, &made); err != nil {
		return identity{}, fmt.Errorf("making identity %s: %w", name, err)
	}
	id := identity{name: name, client: made.Properties.ClientID, principal: made.Properties.PrincipalID}
	if err := l.credential("PUT", name, "stays", name).send(ctx, l.nodes[0].http).in(new(any)); err != nil {
		return id, fmt.Errorf("trusting %s: %w", name, err)
	}
	r, err := l.exchangeForm(id.client, name)
	if err != nil {
		return id, err
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	err = r.send(ctx, l.nodes[0].http).in(&got)
	id.token = got.AccessToken
	return id, err
}
