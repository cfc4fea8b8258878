package arm

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const deletedVaultType = "Microsoft.KeyVault/locations/deletedVaults"

// deletedVaultRows is vaults that can be recovered or purged.
func deletedVaultRows() []*row {
	return []*row{
		{
			name: "deletedvault", typ: deletedVaultType, versions: vaultVersions, in: inSubscription,
			verbs:   map[string]verb{"GET": {do: (*call).getDeletedVault}},
			actions: map[string]verb{"purge": {do: (*call).purgeVault}},
		},
		{
			name: "deletedvault", typ: "Microsoft.KeyVault/deletedVaults", versions: vaultVersions, listed: inSubscription,
			verbs: map[string]verb{"LIST": {do: (*call).listDeletedVaults}},
		},
		{
			name: "operation", typ: "Microsoft.KeyVault/locations/operationResults", versions: vaultVersions, in: inSubscription,
			verbs: map[string]verb{"GET": {do: (*call).getOperation, open: true}},
		},
	}
}

type deletedVault struct {
	ID         string                 `json:"id"`
	Name       string                 `json:"name"`
	Type       string                 `json:"type"`
	Properties deletedVaultProperties `json:"properties"`
}

type deletedVaultProperties struct {
	VaultID        string            `json:"vaultId"`
	Location       string            `json:"location"`
	DeletionDate   string            `json:"deletionDate"`
	PurgeDate      string            `json:"scheduledPurgeDate"`
	Tags           map[string]string `json:"tags"`
	PurgeProtected bool              `json:"purgeProtectionEnabled,omitempty"`
}

func (c *call) showDeletedVault(v *model.Vault) deletedVault {
	tags := v.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return deletedVault{
		ID:   c.s.sub + "/providers/Microsoft.KeyVault/locations/" + v.Location + "/deletedVaults/" + v.Name,
		Name: v.Name, Type: "Microsoft.KeyVault/deletedVaults",
		Properties: deletedVaultProperties{
			VaultID: v.ID, Location: v.Location, Tags: tags, PurgeProtected: v.PurgeProtected,
			DeletionDate: v.Deleted.At.UTC().Format(time.RFC3339), PurgeDate: v.Deleted.Purge.UTC().Format(time.RFC3339),
		},
	}
}

// deletedVault finds the deleted vault of that name in that location.
func (c *call) deletedVault(location, name string) (*model.Vault, int64, error) {
	v, rev, ok := store.Get[*model.Vault](c.view, model.DeletedVaultKey(name))
	if !ok || v.Deleted == nil || v.Location != normalLocation(location) {
		return nil, 0, fail(deletedVaultNotFound, "The specified deleted vault '%s' does not exist in location '%s'.", name, location)
	}
	return v, rev, nil
}

func (c *call) getDeletedVault() error {
	names := c.id.Names()
	v, _, err := c.deletedVault(names[0], names[1])
	if err != nil {
		return err
	}
	return httpx.WriteJSON(c.w, http.StatusOK, c.showDeletedVault(v))
}

func (c *call) listDeletedVaults() error {
	p, err := c.page()
	if err != nil {
		return err
	}
	body, last := listBody{Value: []any{}}, ""
	for e := range c.view.Prefix(model.DeletedVaultKey(""), p.after) {
		v, ok := e.Value.(*model.Vault)
		if !ok || v.Deleted == nil {
			continue
		}
		if len(body.Value) == p.top {
			body.NextLink = c.nextLink(last)
			break
		}
		body.Value, last = append(body.Value, c.showDeletedVault(v)), e.Key
	}
	return httpx.WriteJSON(c.w, http.StatusOK, body)
}

// recoverVault is a PUT with createMode recover: the deleted vault comes back to its
// place, with its policies and its secrets.
func (c *call) recoverVault(in *input) (*change, error) {
	was, rev, err := c.deletedVault(in.common.Location, in.common.Name)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(was.ID, in.common.ID) {
		return nil, fail(vaultExists, "The deleted vault '%s' was in another resource group: it can only be recovered as '%s'.", was.Name, was.ID)
	}
	v := *was
	v.Deleted = nil
	v.System.ModifiedAt, v.System.ModifiedBy, v.System.ModifiedByType = in.common.System.ModifiedAt, in.common.System.ModifiedBy, in.common.System.ModifiedByType
	if in.Tags != nil {
		v.Tags = in.Tags
	}
	return &change{
		object: &v,
		more:   []store.Op{{Key: was.Key(), Rev: rev}},
		undo:   func(rev int64) []store.Op { return []store.Op{{Key: v.Key(), Rev: rev}, {Value: was, Rev: 0}} },
	}, nil
}

// purgeVault deletes for good. Purge protection forbids it.
func (c *call) purgeVault() error {
	names := c.op.scope.Names()
	v, rev, err := c.deletedVault(names[0], names[1])
	if err != nil {
		return err
	}
	if v.PurgeProtected {
		return fail(methodNotAllowed, "The operation 'DeletedVaultPurge' is not allowed: the vault '%s' has purge protection and goes by itself on %s.",
			v.Name, v.Deleted.Purge.UTC().Format(time.RFC3339))
	}
	if err := c.s.purge(c.r.Context(), v, rev); err != nil {
		return err
	}
	return c.accepted(c.s.sub + "/providers/Microsoft.KeyVault/locations/" + v.Location + "/operationResults")
}

// purge deletes a deleted vault, its name and its secrets, all at once: a new
// vault of that name never sees the old one's.
func (s *Server) purge(ctx context.Context, v *model.Vault, rev int64) error {
	_, err := s.store.Commit(ctx,
		store.Op{Key: v.Key(), Rev: rev},
		store.Op{Key: model.VaultNameKey(v.Name), Rev: store.Any},
		store.Op{Key: model.ContentsKey(v.Name), Rev: store.Any, Tree: true},
	)
	return err
}

// PurgeExpired deletes the vaults that were deleted longer ago than they can be
// recovered. Every replica may call it; package server does so now and then.
func (s *Server) PurgeExpired(ctx context.Context) error {
	view, err := s.store.View()
	if err != nil {
		return err
	}
	now := s.now()
	for e := range view.Prefix(model.DeletedVaultKey(""), "") {
		v, ok := e.Value.(*model.Vault)
		if !ok || v.Deleted == nil || now.Before(v.Deleted.Purge) {
			continue
		}
		if err := s.purge(ctx, v, e.Rev); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
		s.log.InfoContext(ctx, "purged a deleted vault whose time was up", "vault", v.Name)
	}
	return nil
}
