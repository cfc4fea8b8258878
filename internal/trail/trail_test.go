package trail_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/managetest"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
	"github.com/lanyard-io/lanyard/internal/trail"
)

// Two servers share a store. What one decides is followed at the other: what was there
// at the start, what comes after, each record once, until the context ends.
func TestFollowOverTwoServers(t *testing.T) {
	etcd := storetest.External(t)
	first, second := server.Dir(t.TempDir()), server.Dir(t.TempDir())
	one := managetest.Start(t, managetest.Config{Dir: first, Etcd: []string{etcd}})
	key, err := os.ReadFile(first.KeyFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(second.KeyFile(), key, 0o600); err != nil {
		t.Fatal(err)
	}
	other := managetest.Start(t, managetest.Config{Dir: second, Admin: first, Etcd: []string{etcd}})
	warn := func(format string, args ...any) { t.Logf(format, args...) }
	for { // each makes itself known a moment after its start
		answer, err := one.Decisions(t.Context(), audit.Query{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Servers) == 2 {
			break
		}
	}
	put := func(c *manage.Client, name string) {
		t.Helper()
		if _, err := c.Groups().Put(t.Context(), name, manage.Group{Location: "local"}); err != nil {
			t.Fatal(err)
		}
	}
	put(one, "before")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	shown := make(chan audit.Record)
	ended := make(chan error, 1)
	go func() {
		c := trail.Config{Server: one, Query: audit.Query{Granted: true, Limit: 1}, Every: 10 * time.Millisecond, Warn: warn}
		ended <- trail.Follow(ctx, c, func(r *audit.Record) error {
			select {
			case shown <- *r:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	next := func() audit.Record {
		t.Helper()
		select {
		case r := <-shown:
			return r
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-t.Context().Done():
			t.Fatal("no record came")
		}
		return audit.Record{}
	}
	if r := next(); !strings.HasSuffix(r.Resource, "/before") {
		t.Fatalf("the first record is of %s", r.Resource)
	}
	servers, seen := map[string]bool{}, []string{}
	for n := range 6 {
		at := one
		if n%2 == 0 {
			at = other
		}
		name := fmt.Sprint("group-", n)
		put(at, name)
		for { // older ones, which the first look did not give, may come before
			r := next()
			key := fmt.Sprint(r.Server, r.ID, r.Action, r.Resource, r.Time)
			if slices.Contains(seen, key) {
				t.Fatalf("twice: %+v", r)
			}
			seen = append(seen, key)
			if strings.HasSuffix(r.Resource, "/"+name) {
				servers[r.Server] = true
				break
			}
		}
	}
	if len(servers) != 2 {
		t.Errorf("the records are of the servers %v", servers)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// What cannot be shown ends it, as does a server that refuses.
func TestFollowEndsWithAnError(t *testing.T) {
	c := trail.Config{Server: managetest.Start(t, managetest.Config{}), Warn: func(string, ...any) {}}
	full := fmt.Errorf("no room")
	if _, err := c.Server.Groups().Put(t.Context(), "one", manage.Group{Location: "local"}); err != nil {
		t.Fatal(err)
	}
	if err := trail.Follow(t.Context(), c, func(*audit.Record) error { return full }); err != full {
		t.Errorf("a record that cannot be shown: %v", err)
	}
	c.Query.Limit = 5000
	if err := trail.Follow(t.Context(), c, func(*audit.Record) error { return nil }); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a limit that is refused: %v", err)
	}
}
