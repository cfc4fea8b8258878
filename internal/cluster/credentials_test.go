package cluster_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// ending is a kubeconfig whose token says when it ends.
func ending(t testing.TB, end time.Time) []byte {
	t.Helper()
	token := "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, end.Unix())) + ".c2ln"
	kubeconfig := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	return bytes.Replace(kubeconfig, []byte(`"token":"t"`), fmt.Appendf(nil, `"token":%q`, token), 1)
}

// watched is a replica at a time, and what it logs.
func (f *fixture) watched(now time.Time) (*cluster.Attached, *bytes.Buffer) {
	f.t.Helper()
	log := &bytes.Buffer{}
	a, err := cluster.New(cluster.Config{Store: f.st, Sealer: f.sealer, Log: slog.New(slog.NewTextHandler(log, nil)), Now: func() time.Time { return now }})
	f.check(err)
	return a, log
}

func (f *fixture) stored(key string) *model.Cluster {
	f.t.Helper()
	v, err := f.st.Fresh(f.t.Context())
	f.check(err)
	k, _, ok := store.Get[*model.Cluster](v, key)
	if !ok {
		f.t.Fatalf("no cluster %s", key)
	}
	return k
}

// The kubeconfig of a cluster that an older program stored is opened once to see when
// its credential ends, and no more after that.
func TestEndOfACredentialIsKept(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	end := now.Add(90 * 24 * time.Hour)
	f := newFixture(t)
	k := f.attached(ending(t, end), nil)
	a, _ := f.watched(now)
	if got := a.CredentialEnds(k); !got.Equal(end) {
		t.Errorf("before it is kept: %v, want %v", got, end)
	}
	a.Refresh(t.Context())
	k = f.stored(k.Key())
	if k.CredentialEnds == nil || !k.CredentialEnds.Equal(end) {
		t.Fatalf("kept as %v, want %v", k.CredentialEnds, end)
	}
	spoilt := *k
	spoilt.Kubeconfig = []byte("nobody can open this")
	_, err := f.st.Put(t.Context(), &spoilt, store.Any)
	f.check(err)
	if got := a.CredentialEnds(f.stored(k.Key())); !got.Equal(end) {
		t.Errorf("with a kubeconfig that cannot be opened: %v, want %v", got, end)
	}
	if h := a.Health(); !h.FirstEnd.Equal(end) || h.NotEnabled != 1 {
		t.Errorf("health %+v, want the end %v of one cluster", h, end)
	}
}

// A token may say a time that RFC 3339 has no words for, such as milliseconds where seconds
// belong. That keeps nobody from storing the cluster.
func TestEndThatCannotBeWritten(t *testing.T) {
	f := newFixture(t)
	k := f.attached(ending(t, time.Date(58000, 1, 1, 0, 0, 0, 0, time.UTC)), nil)
	a, log := f.watched(time.Now())
	a.Refresh(t.Context())
	if k = f.stored(k.Key()); k.CredentialEnds == nil || !a.CredentialEnds(k).IsZero() {
		t.Errorf("kept as %v, want that it does not say", k.CredentialEnds)
	}
	if log.Len() > 0 {
		t.Errorf("logged %s", log)
	}
}

// It is kept as well that a credential says nothing.
func TestCredentialWithoutAnEnd(t *testing.T) {
	f := newFixture(t)
	k := f.attached(accountServer(t), nil)
	a, log := f.watched(time.Now())
	a.Refresh(t.Context())
	if k = f.stored(k.Key()); k.CredentialEnds == nil || !a.CredentialEnds(k).IsZero() {
		t.Errorf("kept as %v, want zero", k.CredentialEnds)
	}
	if h := a.Health(); !h.FirstEnd.IsZero() || log.Len() > 0 {
		t.Errorf("health %+v, logged %q", h, log)
	}
}

func TestEndingCredentialIsLoggedOnce(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		left time.Duration
		want int
	}{
		"ended": {-time.Hour, 1}, "soon": {13 * 24 * time.Hour, 1}, "later": {15 * 24 * time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			a, log := f.watched(now)
			for round := range 2 { // the second time with another credential
				f.attached(ending(t, now.Add(c.left-time.Duration(round)*time.Minute)), nil)
				for range 3 {
					a.Refresh(t.Context())
					a.Health()
				}
				if got := strings.Count(log.String(), "the credential of a cluster's kubeconfig ends"); got != c.want*(round+1) {
					t.Errorf("round %d: logged %d times, want %d:\n%s", round, got, c.want*(round+1), log)
				}
			}
		})
	}
}
