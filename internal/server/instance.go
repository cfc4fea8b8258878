package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
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

// ownerRole is the built-in role Owner.
// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
const ownerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

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
		return c.openSealer(ks)
	}
	if v.Len() > 0 { // the keyset is the first thing that a new store gets
		return nil, errors.New("the store holds objects but no keyset: it is damaged; restore a snapshot with `lanyard store restore`")
	}
	kek, err := seal.OpenKeyFile(c.KeyFile)
	if errors.Is(err, os.ErrNotExist) {
		kek, err = seal.CreateKeyFile(c.KeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	s, err := seal.New(kek)
	if err != nil {
		return nil, err
	}
	wrapped, err := s.Wrap()
	if err != nil {
		return nil, err
	}
	ks, err := loadOrCreate(ctx, st, &model.Keyset{Wrapped: wrapped})
	if err != nil {
		return nil, fmt.Errorf("storing the keyset: %w", err)
	}
	return c.openSealer(ks) // ours, or another replica's that came first
}

func (c Config) openSealer(ks *model.Keyset) (*seal.Sealer, error) {
	kek, err := seal.OpenKeyFile(c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return seal.Unwrap(ks.Wrapped, kek)
}

// Admin is the admin service principal's sign-in, as written to admin.json: the
// only copy of the secret.
type Admin struct {
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
	PrincipalID    string `json:"principalId"`
}

// adminSecretName marks the admin's own secret among the application's secrets.
const adminSecretName = "admin.json"

// ensureAdmin makes the admin application and its Owner role on everything in a
// new store, and writes its credentials. The file comes first: a crash between
// the two leaves a file without effect, never an admin nobody can be.
func (c Config) ensureAdmin(ctx context.Context, st *store.Store, in *model.Instance) (created bool, err error) {
	v, err := st.Fresh(ctx)
	if err != nil {
		return false, err
	}
	roleKey := adminRole(in, "").Key()
	role, _, exists := store.Get[*model.RoleAssignment](v, roleKey)
	if exists && !c.NewAdmin {
		return false, nil
	}

	secret := rand.Text() + rand.Text() // 260 bits
	hash := sha256.Sum256([]byte(secret))
	now := c.Now().UTC()
	appSecret := model.AppSecret{
		KeyID: model.NewUUID(), SHA256: hash[:], Hint: secret[:3], Name: adminSecretName,
		Start:   now.AddDate(-1, 0, 0), // the clock may be ahead, and set right later
		Expires: now.AddDate(100, 0, 0),
	}
	var ops []store.Op
	var app *model.Application
	if exists {
		old := v.First(model.PrincipalIndex(role.PrincipalID))
		if old == nil {
			return false, errors.New("the admin application was deleted: remove its role assignment first")
		}
		next := *old.Value.(*model.Application)
		next.Secrets = []model.AppSecret{appSecret}
		app, ops = &next, []store.Op{{Value: &next, Rev: old.Rev}}
	} else {
		app = &model.Application{
			AppID: model.NewUUID(), ObjectID: model.NewUUID(), PrincipalID: model.NewUUID(),
			Name: "lanyard-admin", Secrets: []model.AppSecret{appSecret}, Created: now,
		}
		ops = []store.Op{{Value: app}, {Value: adminRole(in, app.PrincipalID)}}
	}

	file, err := json.MarshalIndent(Admin{
		TenantID: in.TenantID, SubscriptionID: in.SubscriptionID,
		ClientID: app.AppID, ClientSecret: secret, PrincipalID: app.PrincipalID,
	}, "", "  ")
	if err != nil {
		return false, err
	}
	if err := writeFile(c.path(adminFileName), append(file, '\n'), 0o600); err != nil {
		return false, fmt.Errorf("writing the admin's credentials: %w", err)
	}
	_, err = st.Commit(ctx, ops...)
	if errors.Is(err, store.ErrConflict) { // another replica was first: its file is the one
		return false, os.Remove(c.path(adminFileName))
	}
	if err != nil {
		return false, fmt.Errorf("storing the admin: %w", err)
	}
	return true, nil
}

// adminRole is Owner at the root. Its id is fixed, so that only one replica can create it.
func adminRole(in *model.Instance, principalID string) *model.RoleAssignment {
	return &model.RoleAssignment{
		Resource: model.Resource{
			ID:     "/providers/Microsoft.Authorization/roleAssignments/" + in.SubscriptionID,
			Name:   in.SubscriptionID,
			System: model.System{CreatedAt: in.Created.UTC(), ModifiedAt: in.Created.UTC()},
		},
		Scope: "/", RoleID: ownerRole, PrincipalID: principalID, PrincipalType: "ServicePrincipal",
	}
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
