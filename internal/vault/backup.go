package vault

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/items"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// maxBackupVersions is how many versions a backup may hold.
// https://learn.microsoft.com/azure/key-vault/general/backup
const maxBackupVersions = 500

// archive is a backup's content. It leaves the server sealed under a name that
// holds the tenant: any vault of this instance can take it back, no other can
// read it.
type archive struct {
	Format   int       `json:"format"`
	Name     string    `json:"name"`
	Current  string    `json:"current"`
	Versions []version `json:"versions"`
}

type version struct {
	model.ItemVersion
	Plain []byte `json:"plain"`
}

const archiveFormat = 1

func (c *call) archiveName() string { return "backup/" + c.Kind.Noun() + "/" + c.s.tenant }

// blob is the body of backup's answer and of restore.
type blob struct {
	Value string `json:"value"`
}

// backup gives an item with all its versions, sealed.
func (c *call) backup() (answer, error) {
	item, _, err := c.Live(c.view)
	if err != nil {
		return answer{}, err
	}
	a := archive{Format: archiveFormat, Name: item.Name, Current: item.Current}
	for e := range c.view.Prefix(model.VersionsKey(c.Kind, c.Vault, c.Name), "") {
		if len(a.Versions) == maxBackupVersions {
			return answer{}, fail(badParameter, "The %s has more than %d versions and cannot be backed up.", c.Kind.Noun(), maxBackupVersions)
		}
		value, err := c.s.items.Value(c.r.Context(), e)
		if err != nil {
			return answer{}, err
		}
		a.Versions = append(a.Versions, version{*e.Value.(*model.ItemVersion), value})
	}
	sealed, err := c.sealArchive(&a)
	if err != nil {
		return answer{}, err
	}
	return ok(blob{sealed}), nil
}

func (c *call) sealArchive(a *archive) (string, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encoding the backup: %w", err)
	}
	sealed, err := c.s.sealer.Seal(plain, c.archiveName())
	if err != nil {
		return "", fmt.Errorf("sealing the backup: %w", err)
	}
	const frame = 1 << 10 // what else a restore's body holds
	if base64.RawURLEncoding.EncodedLen(len(sealed)) > maxRestore-frame {
		return "", fail(badParameter, "The %s is too large to be backed up: its versions together pass the limit.", c.Kind.Noun())
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (c *call) openArchive(value string) (*archive, error) {
	bad := func(err error) error {
		return fmt.Errorf("%w: %w", fail(badParameter, "The backup blob was not made by this instance, or it was changed."), err)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil, bad(errors.New("not base64url"))
	}
	plain, err := c.s.sealer.Open(sealed, c.archiveName())
	if err != nil {
		return nil, bad(err)
	}
	var a archive
	if err := json.Unmarshal(plain, &a); err != nil {
		return nil, bad(err)
	}
	if a.Format != archiveFormat || !model.ValidItemName(a.Name) || len(a.Versions) == 0 {
		return nil, bad(fmt.Errorf("archive format %d", a.Format))
	}
	return &a, nil
}

// readBackup opens the backup in the body; only its inside says which item it is.
func (c *call) readBackup() error {
	var in blob
	if err := httpx.ReadJSON(c.r, &in); err != nil {
		return err
	}
	a, err := c.openArchive(in.Value)
	if err != nil {
		return err
	}
	c.Name, c.body = a.Name, a
	return nil
}

// restore makes an item anew from its backup: same name, version ids, times.
func (c *call) restore() (answer, error) {
	unchanged, err := items.VaultUnchanged(c.view, c.vault)
	if err != nil {
		return answer{}, err
	}
	item, current, err := c.write(c.body.(*archive), unchanged)
	if err != nil {
		return answer{}, err
	}
	return ok(c.kind.show(c, item, current, true)), nil
}

const (
	// A commit of a restore holds this many versions and about this many bytes,
	// well below etcd's limits on a transaction.
	restoreChunk = 24
	restoreBytes = 512 << 10
	// restoreGrace is how long an unfinished restore holds its name.
	restoreGrace = 10 * time.Minute
)

// unfinished says that a restore has claimed the name and not ended: such an item
// counts as deleted, and the scheduled purge removes it when its server died.
func unfinished(item *model.Item) bool { return item.Deleted != nil && item.Current == "" }

// write stores an archive. An item with many versions does not fit one commit:
// then each commit but the last leaves an item that only claims the name, and
// each depends on the one before. The last makes the item live. The first is
// held to the vault's being unchanged.
func (c *call) write(a *archive, unchanged store.Op) (*model.Item, *model.ItemVersion, error) {
	current, commits, err := c.resealed(a)
	if err != nil {
		return nil, nil, err
	}
	now := c.s.now().UTC().Truncate(time.Second)
	live := &model.Item{ItemKind: c.Kind, Vault: c.Vault, Name: a.Name, Current: a.Current}
	claim := &model.Item{
		ItemKind: c.Kind, Vault: c.Vault, Name: a.Name, Deleted: &model.Deletion{At: now, Purge: now.Add(restoreGrace)},
	}
	var rev int64
	for i, ops := range commits {
		item := claim
		if i == len(commits)-1 {
			item = live
		}
		if ops = append(ops, store.Op{Value: item, Rev: rev}); i == 0 {
			ops = append(ops, unchanged)
		}
		next, err := c.s.store.Commit(c.r.Context(), ops...)
		switch {
		case err == nil:
			rev = next
		case i == 0 && errors.Is(err, store.ErrConflict):
			return nil, nil, c.taken()
		default:
			if i > 0 {
				c.s.abandon(context.WithoutCancel(c.r.Context()), claim, rev)
			}
			return nil, nil, fmt.Errorf("restoring %s: %w", claim.Key(), err)
		}
	}
	return live, current, nil
}

// resealed gives the archive's versions, sealed for their new place, in commits
// of a bearable size, and the current one of them.
func (c *call) resealed(a *archive) (current *model.ItemVersion, commits [][]store.Op, err error) {
	var ops []store.Op
	var size int
	for i := range a.Versions {
		v := &a.Versions[i].ItemVersion
		v.ItemKind, v.Vault, v.Name = c.Kind, c.Vault, a.Name
		if v.Version == a.Current {
			current = v
		}
		op, err := c.s.items.Seal(v, a.Versions[i].Plain)
		if err != nil {
			return nil, nil, err
		}
		if len(ops) == restoreChunk || size+len(op.Blob) > restoreBytes && len(ops) > 0 {
			commits, ops, size = append(commits, ops), nil, 0
		}
		ops, size = append(ops, op), size+len(op.Blob)
	}
	if current == nil {
		return nil, nil, errors.New("the backup has no current version")
	}
	return current, append(commits, ops), nil
}

// abandon removes what a failed restore left; if this fails too, the scheduled purge does it.
func (s *Server) abandon(ctx context.Context, claim *model.Item, rev int64) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := s.store.Commit(ctx, erase(claim, rev)...); err != nil {
		s.log.WarnContext(ctx, "an unfinished restore stays until the scheduled purge", "key", claim.Key(), "error", err)
	}
}

// taken says who has the name.
func (c *call) taken() error {
	view, err := c.s.store.Fresh(c.r.Context())
	if err != nil {
		return err
	}
	switch item, _ := c.Find(view); {
	case item == nil:
		return fail(throttled, "The vault was changed at the same time. Try again.")
	case item.Deleted != nil:
		return nameTaken(item)
	}
	noun := c.Kind.Noun()
	return fail(conflict, "There was a conflict restoring the %s '%s/%s/%s'. A %[1]s with this name exists in the vault.",
		noun, c.family.VaultURL(c.Vault), c.Kind, c.Name)
}
