package vault

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/lanyard-io/lanyard/internal/access"
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
	model.SecretVersion
	Plain []byte `json:"plain"`
}

const archiveFormat = 1

func (s *Server) archiveName() string { return "backup/secret/" + s.tenant }

// blob is the body of backup's answer and of restore.
type blob struct {
	Value string `json:"value"`
}

// backup gives a secret with all its versions, sealed.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}

	view, _, err := s.enter(r, &t, access.ActionBackupSecret)
	if err != nil {
		return err
	}

	h, _, err := find(view, &t)
	if err != nil {
		return err
	}
	a := archive{Format: archiveFormat, Name: h.Name, Current: h.Current}
	for e := range view.Prefix(model.SecretVersionsKey(t.vault, t.name), "") {
		if len(a.Versions) == maxBackupVersions {
			return fail(badParameter, "The secret has more than %d versions and cannot be backed up.", maxBackupVersions)
		}
		value, err := s.value(r.Context(), e)
		if err != nil {
			return err
		}
		if value == nil {
			return secretMissing(t.name)
		}
		a.Versions = append(a.Versions, version{*e.Value.(*model.SecretVersion), value})
	}

	sealed, err := s.sealArchive(&a)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, blob{sealed})
}

func (s *Server) sealArchive(a *archive) (string, error) {
	plain, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("encoding the backup: %w", err)
	}
	sealed, err := s.sealer.Seal(plain, s.archiveName())
	if err != nil {
		return "", fmt.Errorf("sealing the backup: %w", err)
	}
	const frame = 1 << 10 // what else a restore's body holds
	if base64.RawURLEncoding.EncodedLen(len(sealed)) > maxRestore-frame {
		return "", fail(badParameter, "The secret is too large to be backed up: its versions together pass the limit.")
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (s *Server) openArchive(value string) (*archive, error) {
	bad := func(err error) error {
		return fmt.Errorf("%w: %w", fail(badParameter, "The backup blob was not made by this instance, or it was changed."), err)
	}
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil, bad(errors.New("not base64url"))
	}
	plain, err := s.sealer.Open(sealed, s.archiveName())
	if err != nil {
		return nil, bad(err)
	}
	var a archive
	if err := json.Unmarshal(plain, &a); err != nil {
		return nil, bad(err)
	}
	if a.Format != archiveFormat || !model.ValidSecretName(a.Name) || len(a.Versions) == 0 {
		return nil, bad(fmt.Errorf("archive format %d", a.Format))
	}
	return &a, nil
}

// restore makes a secret anew from its backup: same name, version ids, times.
func (s *Server) restore(w http.ResponseWriter, r *http.Request) error {
	t, err := parse(r)
	if err != nil {
		return err
	}
	// Who may not learns nothing of the blob; only its inside says which secret it is.
	if _, _, err := s.enter(r, &t, access.ActionRestoreSecret); err != nil {
		return err
	}
	var in blob
	if err := httpx.ReadJSON(r, &in); err != nil {
		return err
	}
	a, err := s.openArchive(in.Value)
	if err != nil {
		return err
	}
	t.name = a.Name

	view, vault, err := s.enter(r, &t, access.ActionRestoreSecret)
	if err != nil {
		return err
	}
	there, err := items.Still(view, vault)
	if err != nil {
		return gone(err, vault)
	}

	h, current, err := s.write(r.Context(), &t, a, there)
	if err != nil {
		return err
	}
	return httpx.WriteJSON(w, http.StatusOK, newBundle(t.set, vault, h, current, true))
}

const (
	// A commit of a restore holds this many versions and about this many bytes,
	// well below etcd's limits on a transaction.
	restoreChunk = 24
	restoreBytes = 512 << 10
	// restoreGrace is how long an unfinished restore holds its name.
	restoreGrace = 10 * time.Minute
)

// unfinished says that a restore has claimed the name and not ended: such a head
// counts as deleted, and the scheduled purge removes it when its server died.
func unfinished(h *model.Secret) bool { return h.Deleted != nil && h.Current == "" }

// write stores an archive. A secret with many versions does not fit one commit:
// then each commit but the last leaves a head that only claims the name, and
// each depends on the one before. The last makes the secret live. The first is
// held to there.
func (s *Server) write(ctx context.Context, t *target, a *archive, there store.Op) (*model.Secret, *model.SecretVersion, error) {
	current, commits, err := s.resealed(t, a)
	if err != nil {
		return nil, nil, err
	}
	now := s.now().UTC().Truncate(time.Second)
	claim := &model.Secret{Vault: t.vault, Name: a.Name, Deleted: &model.Deletion{At: now, Purge: now.Add(restoreGrace)}}
	live := &model.Secret{Vault: t.vault, Name: a.Name, Current: a.Current}
	var rev int64
	for i, ops := range commits {
		h := claim
		if i == len(commits)-1 {
			h = live
		}
		if ops = append(ops, store.Op{Value: h, Rev: rev}); i == 0 {
			ops = append(ops, there)
		}
		next, err := s.store.Commit(ctx, ops...)
		switch {
		case err == nil:
			rev = next
		case i == 0 && errors.Is(err, store.ErrConflict):
			return nil, nil, s.taken(ctx, t)
		default:
			if i > 0 {
				s.abandon(context.WithoutCancel(ctx), claim, rev)
			}
			return nil, nil, fmt.Errorf("restoring %s: %w", claim.Key(), err)
		}
	}
	return live, current, nil
}

// resealed gives the archive's versions, sealed for their new place, in commits
// of a bearable size, and the current one of them.
func (s *Server) resealed(t *target, a *archive) (current *model.SecretVersion, commits [][]store.Op, err error) {
	var ops []store.Op
	var size int
	for i := range a.Versions {
		v := &a.Versions[i].SecretVersion
		v.Vault, v.Name = t.vault, a.Name
		if v.Version == a.Current {
			current = v
		}
		sealed, err := s.sealer.Seal(a.Versions[i].Plain, v.Key())
		if err != nil {
			return nil, nil, fmt.Errorf("sealing %s: %w", v.Key(), err)
		}
		if len(ops) == restoreChunk || size+len(sealed) > restoreBytes && len(ops) > 0 {
			commits, ops, size = append(commits, ops), nil, 0
		}
		ops, size = append(ops, store.Op{Value: v, Blob: sealed}), size+len(sealed)
	}
	if current == nil {
		return nil, nil, errors.New("the backup has no current version")
	}
	return current, append(commits, ops), nil
}

// abandon removes what a failed restore left; if this fails too, the scheduled purge does it.
func (s *Server) abandon(ctx context.Context, claim *model.Secret, rev int64) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := s.store.Commit(ctx, erase(claim, rev)...); err != nil {
		s.log.WarnContext(ctx, "an unfinished restore stays until the scheduled purge", "key", claim.Key(), "error", err)
	}
}

// taken says who has the name.
func (s *Server) taken(ctx context.Context, t *target) error {
	view, err := s.store.Fresh(ctx)
	if err != nil {
		return err
	}
	switch h, _ := head(view, t); {
	case h == nil:
		return fail(throttled, "The vault was changed at the same time. Try again.")
	case h.Deleted != nil:
		return nameTaken(h)
	}
	return fail(conflict, "There was a conflict restoring the secret '%s/secrets/%s'. A secret with this name exists in the vault.",
		t.set.VaultURL(t.vault), t.name)
}
