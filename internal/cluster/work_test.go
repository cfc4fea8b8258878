package cluster_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/cluster"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// replica is a server that has not begun to work.
func (f *fixture) replica() *cluster.Attached {
	f.t.Helper()
	a, err := cluster.New(cluster.Config{Store: f.st, Sealer: f.sealer, Installer: installer(f.t, nil), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	f.check(err)
	return a
}

// run starts a replica, which works until the test ends.
func (f *fixture) run() *cluster.Attached {
	f.t.Helper()
	a := f.replica()
	ctx, stop := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	f.t.Cleanup(func() {
		stop()
		f.check(<-done)
	})
	return a
}

func wanted(k *model.Cluster) { k.WorkloadIdentity = true }

// work has a replica do what a cluster needs, and gives the state that it is in then.
func (f *fixture) work(a *cluster.Attached, k *model.Cluster) *model.ClusterState {
	f.t.Helper()
	_, done, err := a.Work(f.t.Context(), k)
	f.check(err)
	<-done
	v, err := f.st.Fresh(f.t.Context())
	f.check(err)
	state, _, ok := store.Get[*model.ClusterState](v, model.ClusterStateKey(k.Key()))
	if !ok {
		f.t.Fatal("how it went is not written down")
	}
	return state
}

const kinds = `{"resources":[{"name":"mutatingwebhookconfigurations","kind":"MutatingWebhookConfiguration"},{"name":"pods","kind":"Pod","namespaced":true}]}`

// kindsOr answers which kinds there are, and leaves the rest to others.
func kindsOr(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1" || r.URL.Path == "/apis/admissionregistration.k8s.io/v1" {
			io.WriteString(w, kinds)
			return
		}
		answer(w, r)
	}
}

func status(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message})
}

func TestWordsOfAClusterAreKeptShort(t *testing.T) {
	words := strings.Repeat("\x1b[2J\nnobody is ", 1<<14)
	short := func(t *testing.T, s string) {
		t.Helper()
		if len(s) > 4096 || strings.ContainsFunc(s, unicode.IsControl) || !strings.Contains(s, "nobody is") {
			t.Errorf("%d bytes: %.60q", len(s), s)
		}
	}
	t.Run("error", func(t *testing.T) {
		f := newFixture(t)
		k := f.attached(apiServer(t, kindsOr(func(w http.ResponseWriter, r *http.Request) { status(w, http.StatusForbidden, words) })), wanted)
		state := f.work(f.run(), k)
		if state.Status != model.ClusterFailed {
			t.Errorf("status %s", state.Status)
		}
		short(t, state.Error)
	})
	t.Run("note", func(t *testing.T) {
		f := newFixture(t)
		there, err := json.Marshal(map[string]any{"metadata": map[string]any{"managedFields": []any{map[string]string{"manager": words}}}})
		f.check(err)
		k := f.attached(apiServer(t, kindsOr(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				_, _ = w.Write(there)
				return
			}
			io.WriteString(w, `{"spec":{"containers":[{"name":"probe","env":[{"name":"AZURE_FEDERATED_TOKEN_FILE"},`+
				`{"name":"AZURE_AUTHORITY_HOST","value":"https://login.lanyard.test/"},{"name":"AZURE_TENANT_ID","value":"11111111-1111-4111-8111-111111111111"}]}]}}`)
		})), wanted)
		state := f.work(f.run(), k)
		if state.Status != model.ClusterSucceeded || state.Error != "" {
			t.Errorf("status %s, %s", state.Status, state.Error)
		}
		short(t, state.Note)
	})
}

// slowCluster applies a webhook configuration only when who asked for it has gone, and
// another has looked for it.
type slowCluster struct {
	began, looked chan struct{}
	ended         <-chan struct{}

	mu     sync.Mutex
	there  bool // guarded by mu: the configuration
	asked  bool // guarded by mu: somebody asked for it
	seenBy int  // guarded by mu: how often it was looked for after that
}

func (c *slowCluster) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.Method {
	case http.MethodPatch:
		c.asked = true
		c.mu.Unlock()
		close(c.began)
		for _, until := range []<-chan struct{}{r.Context().Done(), c.looked} {
			select {
			case <-until:
			case <-c.ended: // the test failed
			}
		}
		c.mu.Lock()
		c.there = true
		_, _ = w.Write(body)
	case http.MethodDelete:
		c.there = false
		io.WriteString(w, `{}`)
	default:
		if c.asked {
			if c.seenBy++; c.seenBy == 1 {
				defer close(c.looked)
			}
		}
		if !c.there {
			status(w, http.StatusNotFound, "not there")
			return
		}
		io.WriteString(w, `{"metadata":{"annotations":{"lanyard.io/server":"https://login.lanyard.test/tenant"}}}`)
	}
}

func TestDetachingWhileAnotherReplicaInstalls(t *testing.T) {
	f := newFixture(t)
	ended, end := context.WithCancel(t.Context())
	c := &slowCluster{began: make(chan struct{}), looked: make(chan struct{}), ended: ended.Done()}
	k := f.attached(apiServer(t, kindsOr(c.answer)), wanted)
	t.Cleanup(end)
	a, b := f.run(), f.replica()
	_, done, err := a.Work(t.Context(), k)
	f.check(err)
	<-c.began
	if err := b.Detach(t.Context(), k, false); err != nil {
		t.Fatal(err)
	}
	<-done
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.there || c.seenBy < 2 {
		t.Errorf("the webhook stays in a cluster that nobody has the credentials of; it was looked for %d times", c.seenBy)
	}
}

// A state that others write at the same time refuses no request.
func TestManyBeginTheSameWork(t *testing.T) {
	f := newFixture(t)
	k := f.attached(accountServer(t), wanted)
	var g errgroup.Group
	for range 20 {
		a := f.replica()
		g.Go(func() error {
			_, _, err := a.Work(t.Context(), k)
			return err
		})
	}
	f.check(g.Wait())
}
