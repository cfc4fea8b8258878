package cluster_test

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/store"
)

// A connection is kept for the next question, and ends with the cluster.
func TestConnectionEndsWithItsCluster(t *testing.T) {
	f := newFixture(t)
	opened, closed := make(chan struct{}, 8), make(chan struct{}, 8)
	k := f.attached(apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": {"authenticated": true, "user": {"username": "u"}, "audiences": ["a"]}}`))
	}, func(s *http.Server) {
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				opened <- struct{}{}
			case http.StateClosed:
				closed <- struct{}{}
			}
		}
	}), nil)
	a, _ := f.watched(time.Now())
	for range 2 {
		if _, err := a.Review(t.Context(), k, "token", "a"); err != nil {
			t.Fatal(err)
		}
		a.Refresh(t.Context())
	}
	if len(opened) != 1 || len(closed) != 0 {
		t.Errorf("two questions: %d connections opened and %d closed, want 1 and 0", len(opened), len(closed))
	}
	_, err := f.st.Commit(t.Context(), store.Op{Key: k.Key(), Rev: store.Any})
	f.check(err)
	a.Refresh(t.Context())
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection to a detached cluster stays open")
	}
}
