package vault

import "github.com/lanyard-io/lanyard/internal/model"

// fullRetention is the days that a vault without a choice of its own has.
const fullRetention = 90

// common is the part of an answer that all kinds share. RecoveryID and the dates are
// there for a deleted item only.
type common struct {
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

func (c *call) common(item *model.Item, v *model.ItemVersion) common {
	out := common{
		Tags: v.Tags,
		Attributes: attributes{
			Enabled: !v.Disabled, NotBefore: v.NotBefore, Expires: v.Expires, Created: v.Created, Updated: v.Updated,
			RecoveryLevel: recoveryLevel(c.vault), RecoverableDays: retention(c.vault),
		},
	}
	if item.Deleted != nil {
		out.RecoveryID = c.family.VaultURL(item.Vault) + "/deleted" + string(item.ItemKind) + "/" + item.Name
		out.DeletedDate, out.ScheduledPurgeDate = item.Deleted.At.Unix(), item.Deleted.Purge.Unix()
	}
	return out
}

// itemURL is an item's id, with its version when that is meant.
func (c *call) itemURL(item *model.Item, v *model.ItemVersion, versioned bool) string {
	url := c.family.VaultURL(item.Vault) + "/" + string(item.ItemKind) + "/" + item.Name
	if versioned {
		url += "/" + v.Version
	}
	return url
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
