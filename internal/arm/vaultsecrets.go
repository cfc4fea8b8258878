package arm

import (
	"errors"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const vaultSecretType = vaultType + "/secrets"

// vaultSecretRow is a vault's secrets as Bicep and azapi make them. The caller
// needs the actions of Resource Manager, not the vault's own permissions; so it
// may write a value, and none is ever shown.
// https://learn.microsoft.com/azure/templates/microsoft.keyvault/vaults/secrets
func vaultSecretRow() *row {
	return &row{
		name: "vaultsecret", typ: vaultSecretType, versions: vaultVersions, in: inGroup, listed: inGroup,
		verbs: map[string]verb{
			"GET": {do: (*call).getVaultSecret}, "LIST": {do: (*call).listVaultSecrets},
			"PUT": {do: (*call).putVaultSecret}, "PATCH": {do: (*call).putVaultSecret},
		},
	}
}

type vaultSecretInput struct {
	Tags       tagSet `json:"tags"`
	Properties struct {
		Value       *string          `json:"value"`
		ContentType *string          `json:"contentType"`
		Attributes  items.Attributes `json:"attributes"`
	} `json:"properties"`
}

type vaultSecretProperties struct {
	Attributes struct {
		Enabled   bool   `json:"enabled"`
		NotBefore *int64 `json:"nbf,omitempty"`
		Expires   *int64 `json:"exp,omitempty"`
		Created   int64  `json:"created"`
		Updated   int64  `json:"updated"`
	} `json:"attributes"`
	ContentType string `json:"contentType,omitempty"`
	URI         string `json:"secretUri"`
	VersionURI  string `json:"secretUriWithVersion"`
}

// vaultOfSecret is the vault that the call's secrets are in.
func (c *call) vaultOfSecret() (*model.Vault, error) {
	v, ok := c.holder.Value.(*model.Vault)
	if !ok || v.Deleted != nil {
		return nil, c.notFound(c.id.Parent())
	}
	return v, nil
}

// secretIn says which secret of a vault is meant.
func secretIn(vault *model.Vault, name string) items.Ref {
	return items.Ref{Kind: model.Secrets, Vault: strings.ToLower(vault.Name), Name: name}
}

func (c *call) items() items.Items { return items.Items{Store: c.s.store, Sealer: c.s.sealer} }

func (c *call) getVaultSecret() error {
	vault, err := c.vaultOfSecret()
	if err != nil {
		return err
	}
	item, v := liveSecret(c.view, vault, c.id.Name())
	if v == nil {
		return c.notFound(c.id)
	}
	return httpx.WriteJSON(c.w, http.StatusOK, c.showVaultSecret(vault, item, v))
}

// liveSecret is a secret and its current version; nil for one that is not there or deleted.
func liveSecret(view *store.View, vault *model.Vault, name string) (*model.Item, *model.ItemVersion) {
	secret := secretIn(vault, name)
	item, e, err := secret.Live(view)
	if err != nil {
		return nil, nil
	}
	v, _ := e.Value.(*model.ItemVersion)
	return item, v
}

func (c *call) showVaultSecret(vault *model.Vault, item *model.Item, v *model.ItemVersion) *resource {
	var p vaultSecretProperties
	p.Attributes.Enabled, p.Attributes.NotBefore, p.Attributes.Expires = !v.Disabled, v.NotBefore, v.Expires
	p.Attributes.Created, p.Attributes.Updated = v.Created, v.Updated
	p.ContentType, p.URI = v.ContentType, c.family.VaultURL(item.Vault)+"/secrets/"+item.Name
	p.VersionURI = p.URI + "/" + v.Version
	out := &resource{
		ID: vault.ID + "/secrets/" + item.Name, Name: item.Name, Type: vaultSecretType, Location: vault.Location, Properties: p,
	}
	if len(v.Tags) > 0 {
		out.Tags = &v.Tags
	}
	return out
}

func (c *call) listVaultSecrets() error {
	vault, err := c.vaultOfSecret()
	if err != nil {
		return err
	}
	p, err := c.page()
	if err != nil {
		return err
	}
	body, last := listBody{Value: []any{}}, ""
	for e := range c.view.Prefix(model.ItemsKey(model.Secrets, vault.Name), p.after) {
		found, ok := e.Value.(*model.Item)
		if !ok {
			continue
		}
		item, v := liveSecret(c.view, vault, found.Name)
		if v == nil {
			continue
		}
		if len(body.Value) == p.top {
			body.NextLink = c.nextLink(last)
			break
		}
		body.Value, last = append(body.Value, c.showVaultSecret(vault, item, v)), e.Key
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

// putVaultSecret is PUT and PATCH: with a value it makes a version, without one it
// changes the attributes of the current version.
func (c *call) putVaultSecret() error {
	name := c.id.Name()
	if !model.ValidItemName(name) {
		return fail(invalidResourceName, "The secret name '%s' is invalid: it must have 1 to 127 letters, digits and '-'.", name)
	}
	var body vaultSecretInput
	if err := httpx.ReadJSON(c.r, &body); err != nil {
		return err
	}
	p := &body.Properties
	in := &items.Secret{Value: p.Value, ContentType: p.ContentType, Tags: body.Tags, Attributes: p.Attributes}
	if err := in.Check(); err != nil {
		return err
	}
	vault, err := c.vaultOfSecret()
	if err != nil {
		return err
	}
	_, old := liveSecret(c.view, vault, name)
	switch {
	case old == nil && c.r.Method == http.MethodPatch:
		return c.notFound(c.id)
	case old == nil && in.Value == nil:
		return fail(badRequest, "The property 'value' is required to make a secret.")
	case in.Value == nil:
		return c.updateVaultSecret(vault, in)
	}
	status := http.StatusOK
	if old == nil {
		status = http.StatusCreated
	}
	return c.addVaultSecret(vault, in, old, status)
}

// addVaultSecret makes a version. With a PATCH it has the attributes of the version
// before where the request names none.
func (c *call) addVaultSecret(vault *model.Vault, in *items.Secret, old *model.ItemVersion, status int) error {
	now := c.s.now().Unix()
	secret := secretIn(vault, c.id.Name())
	v := secret.NewVersion(now)
	if c.r.Method == http.MethodPatch {
		v.ContentType, v.Tags, v.Disabled, v.NotBefore, v.Expires = old.ContentType, old.Tags, old.Disabled, old.NotBefore, old.Expires
	}
	if err := in.Apply(v, now); err != nil {
		return err
	}
	item, err := c.items().Add(c.r.Context(), c.view, vault, v, []byte(*in.Value))
	if taken, ok := errors.AsType[*items.TakenError](err); ok {
		return fail(conflict, "Secret %s is currently in a deleted but recoverable state, and its name cannot be reused; "+
			"in this state, the secret can only be recovered or purged.", taken.Item.Name)
	}
	if errors.Is(err, items.ErrNoVault) {
		return c.notFound(c.id.Parent())
	}
	if err != nil {
		return err
	}
	return httpx.WriteJSON(c.w, status, c.showVaultSecret(vault, item, v))
}

func (c *call) updateVaultSecret(vault *model.Vault, in *items.Secret) error {
	secret := secretIn(vault, c.id.Name())
	item, v, err := c.items().Update(c.r.Context(), c.view, &secret, func(v *model.ItemVersion) error {
		return in.Apply(v, c.s.now().Unix())
	})
	if errors.Is(err, items.ErrNoVault) {
		return c.notFound(c.id.Parent())
	}
	if errors.Is(err, items.ErrMissing) {
		return c.notFound(c.id)
	}
	if err != nil {
		return err
	}
	return httpx.WriteJSON(c.w, http.StatusOK, c.showVaultSecret(vault, item, v))
}
