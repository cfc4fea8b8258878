package vault

import (
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
)

// Limits of a secret.
// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
const (
	maxValue       = 25_600 // bytes
	maxContentType = 255    // characters
	maxTags        = 15
	maxTag         = 512          // characters of a tag's name, and of its value
	maxTime        = 253402300799 // 9999-12-31T23:59:59Z
	fullRetention  = 90           // days; what a vault without a choice of its own has
)

// bundle is a secret in answers: with Value for get and set; with RecoveryID and
// the dates when it is deleted; without a version in ID for lists.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret
type bundle struct {
	Value              *string           `json:"value,omitempty"`
	ContentType        string            `json:"contentType,omitempty"`
	ID                 string            `json:"id"`
	Attributes         attributes        `json:"attributes"`
	Tags               map[string]string `json:"tags,omitempty"`
	RecoveryID         string            `json:"recoveryId,omitempty"`
	DeletedDate        int64             `json:"deletedDate,omitempty"`
	ScheduledPurgeDate int64             `json:"scheduledPurgeDate,omitempty"`
}

type attributes struct {
	Enabled         bool   `json:"enabled"`
	NotBefore       *int64 `json:"nbf,omitempty"`
	Expires         *int64 `json:"exp,omitempty"`
	Created         int64  `json:"created"`
	Updated         int64  `json:"updated"`
	RecoveryLevel   string `json:"recoveryLevel"`
	RecoverableDays int    `json:"recoverableDays"`
}

// newBundle describes a version; withID also names it in the id.
func newBundle(set *names.Set, vault *model.Vault, h *model.Secret, v *model.SecretVersion, withID bool) *bundle {
	base := set.VaultURL(h.Vault)
	b := &bundle{
		ContentType: v.ContentType,
		ID:          base + "/secrets/" + h.Name,
		Tags:        v.Tags,
		Attributes: attributes{
			Enabled: !v.Disabled, NotBefore: v.NotBefore, Expires: v.Expires, Created: v.Created, Updated: v.Updated,
			RecoveryLevel: recoveryLevel(vault), RecoverableDays: retention(vault),
		},
	}
	if withID {
		b.ID += "/" + v.Version
	}
	if h.Deleted != nil {
		b.RecoveryID = base + "/deletedsecrets/" + h.Name
		b.DeletedDate, b.ScheduledPurgeDate = h.Deleted.At.Unix(), h.Deleted.Purge.Unix()
	}
	return b
}

func retention(v *model.Vault) int {
	if v.RetentionDays == 0 {
		return fullRetention
	}
	return v.RetentionDays
}

func recoveryLevel(v *model.Vault) string {
	full := retention(v) == fullRetention
	switch {
	case full && v.PurgeProtected:
		return "Recoverable"
	case full:
		return "Recoverable+Purgeable"
	case v.PurgeProtected:
		return "CustomizedRecoverable"
	}
	return "CustomizedRecoverable+Purgeable"
}

// input is the body of set and update. An absent or null member changes nothing.
type input struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Tags        map[string]string `json:"tags"`
	Attributes  struct {
		Enabled   *bool  `json:"enabled"`
		NotBefore *int64 `json:"nbf"`
		Expires   *int64 `json:"exp"`
	} `json:"attributes"`
}

// check holds the input against the limits.
func (in *input) check() error {
	if in.Value != nil && len(*in.Value) > maxValue {
		return fail(badParameter, "The secret value is too long: it has %d bytes, at most %d are allowed.", len(*in.Value), maxValue)
	}
	if in.ContentType != nil && utf8.RuneCountInString(*in.ContentType) > maxContentType {
		return fail(badParameter, "The contentType is too long: at most %d characters are allowed.", maxContentType)
	}
	if len(in.Tags) > maxTags {
		return fail(badParameter, "The secret has too many tags: %d, at most %d are allowed.", len(in.Tags), maxTags)
	}
	for k, v := range in.Tags {
		if k == "" || utf8.RuneCountInString(k) > maxTag || utf8.RuneCountInString(v) > maxTag {
			return fail(badParameter, "A tag's name or value is too long, or its name is empty: at most %d characters are allowed.", maxTag)
		}
	}
	for _, t := range [...]*int64{in.Attributes.NotBefore, in.Attributes.Expires} {
		if t != nil && (*t < 0 || *t > maxTime) {
			return fail(badParameter, "The attributes exp and nbf must be seconds since 1970-01-01, up to the year 9999.")
		}
	}
	return nil
}

// apply changes a version by what the input holds; v is the caller's own copy.
func (in *input) apply(v *model.SecretVersion, now int64) error {
	if in.ContentType != nil {
		v.ContentType = *in.ContentType
	}
	if in.Tags != nil {
		v.Tags = in.Tags
	}
	if a := in.Attributes.Enabled; a != nil {
		v.Disabled = !*a
	}
	if a := in.Attributes.NotBefore; a != nil {
		v.NotBefore = a
	}
	if a := in.Attributes.Expires; a != nil {
		v.Expires = a
	}
	if v.NotBefore != nil && v.Expires != nil && *v.Expires < *v.NotBefore {
		return fail(badParameter, "The attribute exp must not be earlier than nbf.")
	}
	v.Updated = now
	return nil
}
