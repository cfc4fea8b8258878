package vault

import (
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
)

var secrets = &kind{of: model.Secrets, missing: secretNotFound, disabled: secretDisabled, show: showSecret}

// secretBundle is a secret in answers, with its value for get and set.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret
type secretBundle struct {
	Value       *string `json:"value,omitempty"`
	ContentType string  `json:"contentType,omitempty"`
	ID          string  `json:"id"`
	common
}

func newSecretBundle(c *call, item *model.Item, v *model.ItemVersion, versioned bool) *secretBundle {
	return &secretBundle{ContentType: v.ContentType, ID: c.itemURL(item, v, versioned), common: c.common(item, v)}
}

func showSecret(c *call, item *model.Item, v *model.ItemVersion, versioned bool) any {
	return newSecretBundle(c, item, v, versioned)
}

// newSecret is a version that is to be made.
type newSecret struct {
	value   *string
	version *model.ItemVersion
}

func (c *call) readNewSecret() error {
	var in items.Secret
	if err := httpx.ReadJSON(c.r, &in); err != nil {
		return err
	}
	if in.Value == nil {
		return fail(badParameter, "The parameter value is required.")
	}
	if err := in.Check(); err != nil {
		return err
	}
	now := c.s.now().Unix()
	v := c.NewVersion(now)
	c.body = &newSecret{in.Value, v}
	return in.Apply(v, now)
}

// setSecret makes a new version, and the secret with it if there is none.
func (c *call) setSecret() (answer, error) {
	in := c.body.(*newSecret)
	item, err := c.s.items.Add(c.r.Context(), c.view, c.vault, in.version, []byte(*in.value))
	if err != nil {
		return answer{}, err
	}
	b := newSecretBundle(c, item, in.version, true)
	b.Value = in.value
	return ok(b), nil
}

// getSecret reads a version's value, or the current one's.
func (c *call) getSecret() (answer, error) {
	item, e, err := c.Live(c.view)
	if err != nil {
		return answer{}, err
	}
	v := e.Value.(*model.ItemVersion)
	if err := c.readable(v); err != nil {
		return answer{}, err
	}
	value, err := c.s.items.Value(c.r.Context(), e)
	if err != nil {
		return answer{}, err
	}
	b := newSecretBundle(c, item, v, true)
	plain := string(value)
	b.Value = &plain
	return ok(b), nil
}

func (c *call) readSecretUpdate() error {
	in := &items.Secret{}
	if err := httpx.ReadJSON(c.r, in); err != nil {
		return err
	}
	in.Value, c.body = nil, in
	return in.Check()
}

// updateSecret changes a version's attributes; its value never changes.
func (c *call) updateSecret() (answer, error) {
	item, v, err := c.s.items.Update(c.r.Context(), c.view, &c.Ref, func(v *model.ItemVersion) error {
		return c.body.(*items.Secret).Apply(v, c.s.now().Unix())
	})
	if err != nil {
		return answer{}, err
	}
	return ok(showSecret(c, item, v, true)), nil
}
