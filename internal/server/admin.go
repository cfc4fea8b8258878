package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// ownerRole is the built-in role Owner.
// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
const ownerRole = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"

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
	role, _, exists := store.Get[*model.RoleAssignment](v, adminRole(in, "").Key())
	if exists && !c.NewAdmin {
		return false, nil
	}
	now, secret := c.Now().UTC(), rand.Text()+rand.Text() // 260 bits
	app := &model.Application{AppID: model.NewUUID(), ObjectID: model.NewUUID(), PrincipalID: model.NewUUID(), Name: "lanyard-admin", Created: now}
	var rev int64
	if exists {
		if app, rev, err = adminOf(v, role); err != nil {
			return false, err
		}
	}
	app.Secrets = []model.AppSecret{adminSecret(secret, now)}
	ops := []store.Op{{Value: app, Rev: rev}}
	if !exists {
		ops = append(ops, store.Op{Value: adminRole(in, app.PrincipalID)})
	}

	if err := c.writeAdmin(in, app, secret); err != nil {
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

// adminOf is a copy of the application that has the admin's role.
func adminOf(v *store.View, role *model.RoleAssignment) (*model.Application, int64, error) {
	e := v.First(model.PrincipalIndex(role.PrincipalID))
	if e == nil {
		return nil, 0, errors.New("the admin application was deleted: remove its role assignment first")
	}
	app := *e.Value.(*model.Application)
	return &app, e.Rev, nil
}

func adminSecret(secret string, now time.Time) model.AppSecret {
	hash := sha256.Sum256([]byte(secret))
	return model.AppSecret{
		KeyID: model.NewUUID(), SHA256: hash[:], Hint: secret[:3], Name: adminSecretName,
		Start:   now.AddDate(-1, 0, 0), // the clock may be ahead, and set right later
		Expires: now.AddDate(100, 0, 0),
	}
}

func (c Config) writeAdmin(in *model.Instance, app *model.Application, secret string) error {
	file, err := json.MarshalIndent(Admin{
		TenantID: in.TenantID, SubscriptionID: in.SubscriptionID,
		ClientID: app.AppID, ClientSecret: secret, PrincipalID: app.PrincipalID,
	}, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(c.path(adminFileName), append(file, '\n'), 0o600)
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
