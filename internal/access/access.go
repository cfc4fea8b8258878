package access

import (
	"context"
	"log/slog"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config for New.
type Config struct {
	Audit *audit.Log // of every decision; required
	Log   *slog.Logger
	Now   func() time.Time // default time.Now
}

// Gate decides and records.
type Gate struct {
	audit *audit.Log
	now   func() time.Time
	roles map[string]*permissions // by role id
}

// New makes a Gate.
func New(c Config) *Gate {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Gate{audit: c.Audit, now: c.Now, roles: compileRoles()}
}

// Denied is a refusal, in the chain of Check's error with kind apierr.Forbidden.
// The surface words it as its vendor does.
type Denied struct {
	Caller model.Caller
	Action string // Microsoft.KeyVault/vaults/secrets/getSecret/action, …
	Scope  string // the resource's ARM id
	// Permission is the one that no access policy grants the caller; empty when roles
	// decide.
	Permission string
	// Network says that the vault admits nobody from the caller's address.
	Network NetworkRefusal
}

func (d *Denied) Error() string { return d.Caller.ObjectID + " may not " + d.Action + " on " + d.Scope }

// Check decides whether the caller may do a control-plane action on an ARM id
// (roles only), and records it. It grants nothing by roles that may assign only
// certain other roles: see CheckAssignment.
func (g *Gate) Check(ctx context.Context, v *store.View, c model.Caller, action, scope string) error {
	return g.check(ctx, v, &c, query{action: action, scope: scope})
}

// CheckAssignment is Check for ActionWriteAssignment and ActionDeleteAssignment,
// when it is known that the assignment is of the role roleID.
func (g *Gate) CheckAssignment(ctx context.Context, v *store.View, c model.Caller, action, scope, roleID string) error {
	return g.check(ctx, v, &c, query{action: action, scope: scope, roleID: roleID})
}

func (g *Gate) check(ctx context.Context, v *store.View, c *model.Caller, q query) error {
	return g.conclude(ctx, c, asked{q.action, q.scope, q.scope, writes(q.action)}, g.byRoles(v, c, q))
}

// VaultAction is something that a caller is about to do in a vault.
type VaultAction struct {
	Action     string         // what roles must allow; the record's name of it
	Kind       model.ItemKind // whose permissions count
	Permission string         // what access policies must grant
	Path       string         // "secrets", "secrets/NAME" or "secrets/NAME/VERSION"
	Reads      bool           // it changes nothing; otherwise its outcome is recorded too
}

// CheckVault decides whether the caller may do something in a vault, by its network
// rules, then by its access policies or by roles, whichever the vault uses, and
// records it.
func (g *Gate) CheckVault(ctx context.Context, v *store.View, c model.Caller, vault *model.Vault, a VaultAction) error {
	resource := vault.ID + "/" + a.Path
	d := decision{network: byNetwork(vault, obs.RequestFrom(ctx).Remote)}
	if d.network == Admitted {
		d = g.decideVault(v, &c, vault, &a, resource)
	} else {
		d.code, d.reason = string(d.network), notAdmitted
	}
	return g.conclude(ctx, &c, asked{a.Action, vault.ID, resource, !a.Reads}, d)
}

func (g *Gate) decideVault(v *store.View, c *model.Caller, vault *model.Vault, a *VaultAction, resource string) decision {
	switch {
	case !vault.Roles:
		return byPolicies(v, vault, c, a)
	case c.TenantID == "" || !equalFold(vault.TenantID, c.TenantID):
		return decision{code: "ForbiddenByRbac", reason: otherTenant}
	}
	return g.byRoles(v, c, query{action: a.Action, scope: resource, data: true})
}

// Allowed is Check without a record, for filtering lists. It never grants an operation.
func (g *Gate) Allowed(v *store.View, c model.Caller, action, scope string) bool {
	return g.byRoles(v, &c, query{action: action, scope: scope}).granted
}

// asked is what a decision is about.
type asked struct {
	action   string
	scope    string // the ARM id, for the refusal
	resource string // for the record: the same, or what is in a vault
	writes   bool
}

// conclude records a decision, then answers it. Without a record there is no
// answer, whatever was decided. A write is recorded before it is begun, and again
// when it has ended: see Finish.
func (g *Gate) conclude(ctx context.Context, c *model.Caller, q asked, d decision) error {
	r := &audit.Record{
		Action: q.action, Resource: q.resource, Granted: d.granted, Reason: d.reason, Code: d.code, Caller: c,
	}
	begins := d.granted && q.writes
	if begins {
		r.Outcome = &audit.Outcome{Code: audit.Pending}
	}
	if err := g.Exchange(ctx, r); err != nil {
		return err
	}
	if begins {
		begin(obs.RequestFrom(ctx), r)
	}
	if d.granted {
		return nil
	}
	denied := &Denied{Caller: *c, Action: q.action, Scope: q.scope, Permission: d.permission, Network: d.network}
	return apierr.Wrap(denied, apierr.Forbidden, "the caller may not do this")
}

// Exchange records a decision that the token service made: issued or refused. It
// fills in the request's ids and the time.
func (g *Gate) Exchange(ctx context.Context, r *audit.Record) error {
	q := obs.RequestFrom(ctx)
	r.Time, r.ID, r.Correlation, r.Remote = g.now(), q.ID, q.Correlation, q.Remote
	return g.audit.Append(ctx, r)
}

// Decisions answers a query with what this server, of this name, has recorded.
func (g *Gate) Decisions(ctx context.Context, server string, q audit.Query) (audit.Answer, error) {
	records, partial, err := g.audit.Query(ctx, q)
	if err != nil {
		return audit.Answer{}, err
	}
	for i := range records {
		records[i].Server = server
	}
	return audit.Answer{Value: records, Servers: []audit.Asked{{Name: server, Partial: partial}}}, nil
}

// Find looks up recorded decisions by request or correlation id.
func (g *Gate) Find(ctx context.Context, id string) ([]audit.Record, error) {
	return g.audit.Find(ctx, id)
}
