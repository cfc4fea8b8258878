// Package access is the one gate: it decides whether a caller may do an action
// on a resource, and writes the audit record of the decision. Nothing is
// allowed that is not recorded.
package access

import (
	"context"
	"log/slog"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New.
type Config struct {
	Audit *audit.Log
	Log   *slog.Logger
	Now   func() time.Time
}

// Gate decides and records.
type Gate struct{ _ int }

// New makes a Gate.
func New(c Config) *Gate { panic("todo") }

// Denied is a refusal, in the chain of Check's error with kind apierr.Forbidden.
// The surface words it as its vendor does.
type Denied struct {
	Caller   model.Caller
	Action   string // Microsoft.KeyVault/vaults/secrets/getSecret/action, …
	Scope    string // the resource's ARM id
	ByPolicy bool   // refused by a vault's access policies; otherwise no role allows it
}

func (d *Denied) Error() string { return d.Caller.ObjectID + " may not " + d.Action + " on " + d.Scope }

// Check decides whether the caller may do a control-plane action on an ARM id
// (roles only), and records it.
func (g *Gate) Check(ctx context.Context, v *store.View, c model.Caller, action, scope string) error {
	panic("todo")
}

// CheckVault decides whether the caller may do a data action on a vault, by its
// access policies or by roles, whichever the vault uses, and records it. path
// is what it is about: "secrets/NAME" or "secrets/NAME/VERSION" or "secrets".
func (g *Gate) CheckVault(ctx context.Context, v *store.View, c model.Caller, action string, vault *model.Vault, path string) error {
	panic("todo")
}

// Allowed is Check without a record, for filtering lists. It never grants an operation.
func (g *Gate) Allowed(v *store.View, c model.Caller, action, scope string) bool { panic("todo") }

// Exchange records a decision that the token service made: issued or refused. It
// fills in the request's ids and the time.
func (g *Gate) Exchange(ctx context.Context, r *audit.Record) error { panic("todo") }

// Find looks up recorded decisions by request or correlation id.
func (g *Gate) Find(ctx context.Context, id string) ([]audit.Record, error) { panic("todo") }
