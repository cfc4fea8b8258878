package surfacetest

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/seal"
	"github.com/lanyard-io/lanyard/internal/signing"
	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
	"github.com/lanyard-io/lanyard/internal/wiretest"
)

// Base is what every surface stands on, until the test ends.
type Base struct {
	Etcd    *store.Client
	Store   *store.Store
	Names   *names.Names
	Sealer  *seal.Sealer
	Records *audit.Log
	Dir     string // of the records
	Gate    *access.Gate
	Ahead   atomic.Int64 // how far the clock is ahead of ours, in nanoseconds

	clock func() time.Time
}

// New makes a Base with a clock; nil is ours.
func New(t testing.TB, c names.Config, clock func() time.Time) *Base {
	t.Helper()
	b := &Base{Etcd: storetest.Etcd(t), Dir: filepath.Join(t.TempDir(), "audit"), clock: clock}
	if clock == nil {
		b.clock = time.Now
	}
	b.Store = storetest.On(t, b.Etcd)
	kek, err := seal.CreateKeyFile(filepath.Join(t.TempDir(), "seal.key"))
	Must(t, err)
	b.Sealer, err = seal.New(kek)
	Must(t, err)
	b.Names, err = names.New(c)
	Must(t, err)
	b.Records, err = audit.Open(audit.Config{Dir: b.Dir, Log: Quiet(), Now: b.Now})
	Must(t, err)
	t.Cleanup(func() { _ = b.Records.Close() })
	b.Gate = access.New(access.Config{Audit: b.Records, Log: Quiet(), Now: b.Now})
	return b
}

// Now is the clock of all parts.
func (b *Base) Now() time.Time { return b.clock().Add(time.Duration(b.Ahead.Load())) }

// Keys signs tokens, on the Base's store.
func (b *Base) Keys(t testing.TB) *signing.Keys {
	t.Helper()
	keys, err := signing.New(t.Context(), signing.Config{Store: b.Store, Sealer: b.Sealer, Log: Quiet(), Now: b.Now})
	Must(t, err)
	return keys
}

// Serve puts surfaces behind an edge, and gives a client that reaches them under any
// of their names.
func (b *Base) Serve(t testing.TB, surfaces map[names.Surface]httpx.Surface) (*httpx.Edge, *http.Client) {
	t.Helper()
	edge, err := httpx.New(httpx.Config{Names: b.Names, Surfaces: surfaces, Log: Quiet(), Metrics: prometheus.NewRegistry(), Now: b.Now})
	Must(t, err)
	return edge, wiretest.Serve(t, edge)
}

// Put stores objects, whatever is there.
func (b *Base) Put(t testing.TB, objects ...model.Object) {
	t.Helper()
	for _, o := range objects {
		_, err := b.Store.Put(t.Context(), o, store.Any)
		Must(t, err)
	}
}

// Assign gives a principal a role, as Resource Manager would.
func (b *Base) Assign(t testing.TB, principal, role, scope string) *model.RoleAssignment {
	t.Helper()
	name := model.NewUUID()
	a := &model.RoleAssignment{
		Resource: model.Resource{ID: strings.TrimSuffix(scope, "/") + "/providers/Microsoft.Authorization/roleAssignments/" + name, Name: name},
		Scope:    scope, RoleID: role, PrincipalID: principal, PrincipalType: "ServicePrincipal",
	}
	b.Put(t, a)
	return a
}

// View shows every write that has finished.
func (b *Base) View(t testing.TB) *store.View {
	t.Helper()
	v, err := b.Store.Fresh(t.Context())
	Must(t, err)
	return v
}

// Quiet is a log that nobody reads.
func Quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
