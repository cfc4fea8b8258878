package embedded

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// A full store says so, still deletes, and takes writes again once its history is gone.
func TestFullStoreRecovers(t *testing.T) {
	var log bytes.Buffer
	s, err := Start(t.Context(), Config{Dir: t.TempDir(), NoSync: true, Quota: 4 << 20, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	st, err := store.Open(t.Context(), store.Config{Client: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	write := func(version string) error {
		o := &model.ItemVersion{ItemKind: model.Secrets, Vault: "kv", Name: "s", Version: version}
		_, err := st.Commit(t.Context(), store.Op{Value: o, Blob: make([]byte, 100<<10), Rev: store.Any})
		return err
	}
	if err := write("other"); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		err = write("same")
	}
	if !errors.Is(err, store.ErrFull) || apierr.KindOf(err) != apierr.Unavailable {
		t.Fatalf("writing without end = %v, want ErrFull", err)
	}
	if err := st.Delete(t.Context(), model.VersionKey(model.Secrets, "kv", "s", "other"), store.Any); err != nil {
		t.Errorf("deleting from a full store: %v", err)
	}
	if _, err := st.Fresh(t.Context()); err != nil {
		t.Errorf("reading a full store: %v", err)
	}

	// etcd may refuse a write before it raises the alarm.
	for deadline := time.Now().Add(10 * time.Second); !s.alarmed(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a full store raised no alarm")
		}
	}
	// bbolt counts pages as free one transaction later, and Run tries again too.
	// The alarm of the refused write may come after it was taken back.
	for i := 0; err != nil && i < 100; i++ {
		s.checkAlarm(t.Context())
		err = write("new")
	}
	if err != nil {
		t.Errorf("writing after making room: %v", err)
	}
	s.checkAlarm(t.Context())
	if !strings.Contains(log.String(), "the store is full") {
		t.Errorf("the alarm was not logged:\n%s", &log)
	}
}
