package vault

import (
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
)

// fullRetention is the days that a vault without a choice of its own has.
const fullRetention = 90

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
