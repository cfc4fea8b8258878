package items

import (
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
)

// Limits of a secret.
// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
const (
	MaxValue       = 25_600 // bytes
	maxContentType = 255    // characters
	maxTags        = 15
	maxTag         = 512          // characters of a tag's name, and of its value
	maxTime        = 253402300799 // 9999-12-31T23:59:59Z
)

// Input is what a request sets. An absent or null member changes nothing.
type Input struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Tags        map[string]string `json:"tags"`
	Attributes  struct {
		Enabled   *bool  `json:"enabled"`
		NotBefore *int64 `json:"nbf"`
		Expires   *int64 `json:"exp"`
	} `json:"attributes"`
}

// Check holds the input against the limits.
func (in *Input) Check() error {
	if in.Value != nil && len(*in.Value) > MaxValue {
		return apierr.New(apierr.Invalid, "The secret value is too long: it has %d bytes, at most %d are allowed.", len(*in.Value), MaxValue)
	}
	if in.ContentType != nil && utf8.RuneCountInString(*in.ContentType) > maxContentType {
		return apierr.New(apierr.Invalid, "The contentType is too long: at most %d characters are allowed.", maxContentType)
	}
	if len(in.Tags) > maxTags {
		return apierr.New(apierr.Invalid, "The secret has too many tags: %d, at most %d are allowed.", len(in.Tags), maxTags)
	}
	for k, v := range in.Tags {
		if k == "" || utf8.RuneCountInString(k) > maxTag || utf8.RuneCountInString(v) > maxTag {
			return apierr.New(apierr.Invalid, "A tag's name or value is too long, or its name is empty: at most %d characters are allowed.", maxTag)
		}
	}
	for _, t := range [...]*int64{in.Attributes.NotBefore, in.Attributes.Expires} {
		if t != nil && (*t < 0 || *t > maxTime) {
			return apierr.New(apierr.Invalid, "The attributes exp and nbf must be seconds since 1970-01-01, up to the year 9999.")
		}
	}
	return nil
}

// Apply changes a version by what the input holds; v is the caller's own copy.
func (in *Input) Apply(v *model.SecretVersion, now int64) error {
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
		return apierr.New(apierr.Invalid, "The attribute exp must not be earlier than nbf.")
	}
	v.Updated = now
	return nil
}
