package items

import (
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Limits of an item of any kind.
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates
const (
	maxTags = 15
	maxTag  = 512          // characters of a tag's name, and of its value
	maxTime = 253402300799 // 9999-12-31T23:59:59Z
)

// Attributes is what a request sets of an item of any kind. An absent or null
// member changes nothing.
type Attributes struct {
	Enabled   *bool  `json:"enabled"`
	NotBefore *int64 `json:"nbf"`
	Expires   *int64 `json:"exp"`
}

// check holds attributes and tags against the limits.
func (a *Attributes) check(kind model.ItemKind, tags map[string]string) error {
	if len(tags) > maxTags {
		return apierr.New(apierr.Invalid, "The %s has too many tags: %d, at most %d are allowed.", kind.Noun(), len(tags), maxTags)
	}
	for k, v := range tags {
		if k == "" || utf8.RuneCountInString(k) > maxTag || utf8.RuneCountInString(v) > maxTag {
			return apierr.New(apierr.Invalid, "A tag's name or value is too long, or its name is empty: at most %d characters are allowed.", maxTag)
		}
	}
	for _, t := range [...]*int64{a.NotBefore, a.Expires} {
		if t != nil && (*t < 0 || *t > maxTime) {
			return apierr.New(apierr.Invalid, "The attributes exp and nbf must be seconds since 1970-01-01, up to the year 9999.")
		}
	}
	return nil
}

// apply changes a version by attributes and tags.
func (a *Attributes) apply(v *model.ItemVersion, tags map[string]string, now int64) error {
	if tags != nil {
		v.Tags = tags
	}
	if a.Enabled != nil {
		v.Disabled = !*a.Enabled
	}
	if a.NotBefore != nil {
		v.NotBefore = a.NotBefore
	}
	if a.Expires != nil {
		v.Expires = a.Expires
	}
	if v.NotBefore != nil && v.Expires != nil && *v.Expires < *v.NotBefore {
		return apierr.New(apierr.Invalid, "The attribute exp must not be earlier than nbf.")
	}
	v.Updated = now
	return nil
}
