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
)

// Secret is what a request sets of a secret. An absent or null member changes
// nothing.
type Secret struct {
	Value       *string           `json:"value"`
	ContentType *string           `json:"contentType"`
	Tags        map[string]string `json:"tags"`
	Attributes  Attributes        `json:"attributes"`
}

// Check holds the input against the limits.
func (in *Secret) Check() error {
	if in.Value != nil && len(*in.Value) > MaxValue {
		return apierr.New(apierr.Invalid, "The secret value is too long: it has %d bytes, at most %d are allowed.", len(*in.Value), MaxValue)
	}
	if in.ContentType != nil && utf8.RuneCountInString(*in.ContentType) > maxContentType {
		return apierr.New(apierr.Invalid, "The contentType is too long: at most %d characters are allowed.", maxContentType)
	}
	return in.Attributes.check(model.Secrets, in.Tags)
}

// Apply changes a version by what the input holds; v is the caller's own copy.
func (in *Secret) Apply(v *model.ItemVersion, now int64) error {
	if in.ContentType != nil {
		v.ContentType = *in.ContentType
	}
	return in.Attributes.apply(v, in.Tags, now)
}
