package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/store"
)

// instance loads the store's identity card, or writes it in an empty store. A
// store of another domain is refused: its URLs and tokens name that domain.
func (c Config) instance(ctx context.Context, st *store.Store) (*model.Instance, error) {
	own, err := c.names()
	if err != nil {
		return nil, err
	}
	domain := own.Own().Domain
	fresh := &model.Instance{
		Domain: domain, TenantID: orUUID(c.TenantID), SubscriptionID: orUUID(c.SubscriptionID), Created: c.Now().UTC(),
	}
	in, err := loadOrCreate(ctx, st, fresh)
	if err != nil {
		return nil, fmt.Errorf("reading the instance: %w", err)
	}
	differs := func(what, stored, wanted string) error {
		return fmt.Errorf("this store belongs to %s %s, not %s: start with that %s, or use another data directory or etcd prefix", what, stored, wanted, what)
	}
	switch {
	case in.Domain != domain:
		return nil, differs("domain", in.Domain, domain)
	case c.TenantID != "" && !strings.EqualFold(in.TenantID, c.TenantID):
		return nil, differs("tenant", in.TenantID, c.TenantID)
	case c.SubscriptionID != "" && !strings.EqualFold(in.SubscriptionID, c.SubscriptionID):
		return nil, differs("subscription", in.SubscriptionID, c.SubscriptionID)
	}
	return in, nil
}

func orUUID(id string) string {
	if id == "" {
		return model.NewUUID()
	}
	return strings.ToLower(id)
}

// loadOrCreate gives the stored object under fresh's key, and stores fresh when
// there is none. When another replica creates it first, that one's is given.
func loadOrCreate[T model.Object](ctx context.Context, st *store.Store, fresh T) (T, error) {
	for {
		v, err := st.Fresh(ctx)
		if err != nil {
			return fresh, err
		}
		if o, _, ok := store.Get[T](v, fresh.Key()); ok {
			return o, nil
		}
		if _, err := st.Put(ctx, fresh, 0); !errors.Is(err, store.ErrConflict) {
			return fresh, err
		}
	}
}

// sealer opens the store's keyset with the key file. A new store gets a new
// keyset and, if there is none yet, a new key file; an existing store never does.
func (c Config) sealer(ctx context.Context, st *store.Store) (*seal.Sealer, error) {
	v, err := st.Fresh(ctx)
	if err != nil {
		return nil, err
	}
	if ks, _, ok := store.Get[*model.Keyset](v, model.KeysetKey); ok {
		return c.openSealer(ctx, ks)
	}
	if v.Len() > 0 { // the keyset is the first thing that a new store gets
		return nil, errors.New("the store holds objects but no keyset: it is damaged; restore a snapshot with `lanyard store restore`")
	}
	kek, err := c.newKEK()
	if err != nil {
		return nil, err
	}
	s, err := seal.New(kek)
	if err != nil {
		return nil, err
	}
	var wrapped []byte
	if err := c.await(ctx, func(ctx context.Context) (err error) { wrapped, err = s.Wrap(ctx); return err }); err != nil {
		return nil, err
	}
	ks, err := loadOrCreate(ctx, st, &model.Keyset{Wrapped: wrapped})
	if err != nil {
		return nil, fmt.Errorf("storing the keyset: %w", err)
	}
	return c.openSealer(ctx, ks) // ours, or another replica's that came first
}

func (c Config) openSealer(ctx context.Context, ks *model.Keyset) (s *seal.Sealer, err error) {
	kek, err := c.kek()
	if err != nil {
		return nil, err
	}
	err = c.await(ctx, func(ctx context.Context) (err error) { s, err = seal.Unwrap(ctx, ks.Wrapped, kek); return err })
	return s, err
}

// kek is the key that wraps the data keys: the key file's, so far.
func (c Config) kek() (seal.KEK, error) {
	f, err := seal.OpenKeyFile(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return f, nil
}

// newKEK is kek for a new store, whose key file is made if there is none.
func (c Config) newKEK() (seal.KEK, error) {
	kek, err := c.kek()
	if !errors.Is(err, os.ErrNotExist) {
		return kek, err
	}
	f, err := seal.CreateKeyFile(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return f, nil
}

// await waits for a key-encryption key that is away.
func (c Config) await(ctx context.Context, ask func(context.Context) error) error {
	return seal.Await(ctx, ask, func(err error, pause time.Duration) {
		c.Log.WarnContext(ctx, "waiting for the key-encryption key", "error", err, "again", pause)
	})
}

// State is what a running server leaves in its data directory for the command
// line: where it listens and which names it has.
type State struct {
	Address        string    `json:"address"`
	Listen         string    `json:"listen"`
	Proxy          string    `json:"proxy,omitempty"`
	Debug          string    `json:"debug,omitempty"`
	Webhook        string    `json:"webhook,omitempty"`
	Health         string    `json:"health,omitempty"`
	Metrics        string    `json:"metrics,omitempty"`
	AzureNames     bool      `json:"azureNames,omitempty"`
	Aliases        []string  `json:"aliases,omitempty"`
	ADFS           bool      `json:"adfs,omitempty"`
	TenantID       string    `json:"tenantId"`
	SubscriptionID string    `json:"subscriptionId"`
	OwnCA          bool      `json:"ownCA"`
	Started        time.Time `json:"started"`
}

// Names are what the server answers to.
func (s *State) Names() (*names.Names, error) {
	return names.New(names.Config{Address: s.Address, Azure: s.AzureNames, Aliases: s.Aliases})
}
