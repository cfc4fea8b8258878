package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const (
	servedFileName = "store.json"
	// setAsideName is the directory of the credentials of stores that the data
	// directory served before, each in one of its own.
	setAsideName = "stores"
	markTimeout  = 3 * time.Second
)

// served is the store that a data directory served last, and how far that was.
// Its credentials lie in the directory.
type served struct {
	Store    string     `json:"store,omitempty"` // model.Instance.StoreID; none in what an older program left
	TenantID string     `json:"tenantId"`
	Place    string     `json:"place,omitempty"` // where it was, in words
	Mark     store.Mark `json:"mark"`
}

// readServed is nil when the directory has never served a store. An older program
// left only its tenant, in the files of the running server and of the admin.
func (c Config) readServed() (*served, error) {
	var s served
	for _, name := range []string{servedFileName, stateFileName, adminFileName} {
		err := readJSON(c.path(name), &s)
		if err == nil && s.TenantID != "" {
			return &s, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading which store the data directory served last: %w", err)
		}
	}
	return nil, nil
}

// forgetServed keeps whose credentials lie in the directory, but not how far the
// store was that it served.
func (c Config) forgetServed() error {
	last, err := c.readServed()
	if err != nil || last == nil {
		return err
	}
	last.Mark = store.Mark{}
	return c.writeServed(last)
}

func (c Config) writeServed(s *served) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(c.path(servedFileName), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("noting which store this is: %w", err)
	}
	return nil
}

// place is where this server's store is, in words.
func (c Config) place() string {
	prefix := c.Prefix
	if prefix == "" {
		prefix = store.DefaultPrefix
	}
	switch {
	case len(c.Etcd.Endpoints) > 0:
		return fmt.Sprintf("etcd at %s under %s", strings.Join(c.Etcd.Endpoints, ", "), prefix)
	case prefix == store.DefaultPrefix:
		return "the embedded etcd"
	}
	return "the embedded etcd under " + prefix
}

func (s *served) was() string {
	if s.Place == "" {
		return "the one of tenant " + s.TenantID
	}
	return fmt.Sprintf("the one of tenant %s in %s", s.TenantID, s.Place)
}

const (
	moveWords = "bring the store along with `lanyard store copy`, or start with the settings of before"
	forceFlag = "--switch-store takes this one and keeps the other's credentials aside"
)

// noStore says that there is nothing where a store must be.
func (c Config) noStore(last *served) error {
	if last == nil { // it follows the first replica
		return fmt.Errorf("there is no store in %s yet, and %s does not begin one: the first replica does", c.place(), c.PodName)
	}
	return fmt.Errorf("there is no store in %s, but this data directory served %s: %s; %s", c.place(), last.was(), moveWords, forceFlag)
}

// openServed refuses a store that is not the one which the data directory served
// last, or is an older copy of it: its credentials lie here, and a store that was
// left behind brings back what was removed since. It changes nothing.
func (s *Server) openServed(ctx context.Context) (err error) {
	st := s.backend.Store
	v, err := st.Fresh(ctx)
	if err != nil {
		return err
	}
	in, _, ok := store.Get[*model.Instance](v, model.InstanceKey)
	s.newStore = !ok
	if !ok && v.Len() == 0 && (s.served != nil || s.c.follower()) && !s.c.SwitchStore {
		return s.c.noStore(s.served)
	}
	if s.served == nil || s.c.SwitchStore || !ok {
		return nil
	}
	last := s.served
	if in.TenantID != last.TenantID || last.Store != "" && last.Store != in.StoreID() {
		return fmt.Errorf("the store in %s is of tenant %s, but this data directory served %s: start with the settings of before, or with another data directory; %s",
			s.c.place(), in.TenantID, last.was(), forceFlag)
	}
	if last.Store == "" {
		return nil
	}
	has, err := st.HasMark(ctx, last.Mark)
	if err == nil && !has {
		err = fmt.Errorf("the store in %s is a copy of the one that this data directory served last, in %s, and lacks what was changed since: start with that one, or copy it again; --switch-store takes this one, in which what was removed since is valid again",
			s.c.place(), last.Place)
	}
	return err
}

// setAside makes room for the credentials of another store than the directory
// served last, and brings back those that this store had here before.
func (s *Server) setAside() error {
	id := s.instance.StoreID()
	legacy := s.served != nil && s.served.Store == "" && s.served.TenantID == s.instance.TenantID
	if s.served == nil || s.served.Store == id || legacy && !s.newStore {
		return nil
	}
	old := s.served.Store
	if old == "" {
		old = s.served.TenantID
	}
	away, back := s.c.path(filepath.Join(setAsideName, old)), s.c.path(filepath.Join(setAsideName, id))
	if err := os.MkdirAll(away, 0o700); err != nil {
		return fmt.Errorf("keeping the other store's credentials: %w", err)
	}
	// What says whose they are goes last, so that a cut is made good by the next start.
	files := []string{adminFileName, caFileName, bundleName, truststoreName, stateFileName, servedFileName}
	for _, move := range []struct{ from, to string }{{s.c.DataDir, away}, {back, s.c.DataDir}} {
		for _, name := range files {
			err := os.Rename(filepath.Join(move.from, name), filepath.Join(move.to, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("keeping the other store's credentials: %w", err)
			}
		}
	}
	s.c.Log.Warn("took another store; the credentials of the last one are kept", "directory", away)
	return nil
}

// noteServed notes how far the store is, in it and in the data directory.
func (s *Server) noteServed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	mark, err := s.backend.Store.NewMark(ctx)
	if err != nil {
		return fmt.Errorf("noting which store this is: %w", err)
	}
	return s.c.writeServed(&served{s.instance.StoreID(), s.instance.TenantID, s.c.place(), mark})
}
