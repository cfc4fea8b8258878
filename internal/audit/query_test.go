package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/model"
)

func ids(t *testing.T, l *Log, q Query) (all []string) {
	t.Helper()
	found, partial, err := l.Query(t.Context(), q)
	if err != nil || partial {
		t.Fatalf("Query(%+v): partial %v, %v", q, partial, err)
	}
	for i := range found {
		all = append(all, found[i].ID)
	}
	return all
}

func TestQuery(t *testing.T) {
	l := open(t, Config{MaxFile: 900})
	at := noon
	add := func(r Record) {
		at = at.Add(time.Second)
		r.Time = at
		appendAll(t, l, &r)
	}
	shop := &model.Caller{ObjectID: "oid-shop", AppID: "app-shop", IdentityID: "/x/userAssignedIdentities/shop"}
	add(Record{ID: "token", Granted: true, Action: "token.issue", Resource: "app-shop", Exchange: &Exchange{ClientID: "app-shop", Subject: "system:serviceaccount:shop:web"}})
	add(Record{ID: "read", Granted: true, Action: "get", Resource: "/x/vaults/kv-shop/secrets/a", Caller: shop})
	add(Record{ID: "other", Granted: true, Action: "get", Resource: "/x/vaults/kv-shop2/secrets/a", Caller: &model.Caller{ObjectID: "o", Name: "Ann@x"}})
	add(Record{ID: "no", Action: "get", Resource: "/x/vaults/KV-shop", Caller: shop, Code: "Forbidden"})
	add(Record{ID: "stranger", Action: "token.issue", Resource: "app-shop", Exchange: &Exchange{ClientID: "app-shop", Subject: "system:serviceaccount:evil:web"}})
	add(Record{ID: "forged", Action: "token.use", Resource: "kv-shop.vault.lanyard.test"})
	add(Record{ID: "write", Granted: true, Action: "w", Resource: "/x/vaults/kv-shop", Outcome: &Outcome{Code: Pending}})
	add(Record{ID: "write", Granted: true, Action: "w", Resource: "/x/vaults/kv-shop", Outcome: &Outcome{Status: 409, Code: "Conflict"}})
	add(Record{ID: "cut", Granted: true, Action: "w", Resource: "/x", Outcome: &Outcome{Code: Pending}})
	add(Record{ID: "reader", Granted: true, Action: actionRead, Resource: "/"})

	for name, tt := range map[string]struct {
		q    Query
		want []string
	}{
		"all":      {Query{}, []string{"token", "read", "other", "no", "stranger", "forged", "write", "cut"}},
		"readers":  {Query{All: true, Limit: 2}, []string{"cut", "reader"}},
		"refused":  {Query{Refused: true}, []string{"no", "stranger", "forged"}},
		"newest":   {Query{Refused: true, Limit: 1}, []string{"forged"}},
		"granted":  {Query{Granted: true}, []string{"token", "read", "other", "write", "cut"}},
		"both":     {Query{Granted: true, Refused: true, Limit: 3}, []string{"forged", "write", "cut"}},
		"vault":    {Query{Vault: "Kv-Shop"}, []string{"read", "no", "forged", "write"}},
		"name":     {Query{Identities: []string{"SHOP"}}, []string{"read", "no"}},
		"ids":      {Query{Identities: []string{"shop", "app-shop"}}, []string{"token", "read", "no", "stranger"}},
		"subject":  {Query{Subject: "SHOP:web"}, []string{"token"}},
		"person":   {Query{Subject: "ann@"}, []string{"other"}},
		"since":    {Query{Since: noon.Add(6 * time.Second)}, []string{"forged", "write", "cut"}},
		"by-id":    {Query{ID: "write", Refused: true}, []string{"write"}},
		"nothing":  {Query{Vault: "kv"}, nil},
		"no-match": {Query{Since: noon.Add(time.Hour)}, nil},
	} {
		if diff := cmp.Diff(tt.want, ids(t, l, tt.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		back, err := ParseQuery(tt.q.Values())
		if tt.q.ID == "" && (err != nil || !cmp.Equal(ids(t, l, back), tt.want)) {
			t.Errorf("%s: written and read it is %+v, %v", name, back, err)
		}
	}
	found, _, err := l.Query(t.Context(), Query{Vault: "kv-shop", Granted: true, Limit: 1})
	if err != nil || len(found) != 1 || found[0].Outcome == nil || found[0].Outcome.Status != 409 {
		t.Errorf("of a write %+v, %v; want how it ended", found, err)
	}
	// After a restart memory is empty.
	l.Close()
	l = open(t, Config{Dir: l.dir, MaxFile: 900})
	if diff := cmp.Diff([]string{"no", "stranger", "forged"}, ids(t, l, Query{Refused: true})); diff != "" {
		t.Errorf("from files (-want +got):\n%s", diff)
	}
}

func TestBadQueries(t *testing.T) {
	for _, text := range []string{"limit=0", "limit=1001", "limit=x", "since=yesterday", strings.Repeat("identity=a&", 21)} {
		v, err := url.ParseQuery(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseQuery(v); err == nil {
			t.Errorf("%.30s is taken", text)
		}
	}
}

// A query reads so much and no more, and says so.
func TestQueriesAreBounded(t *testing.T) {
	s := &scan{q: Query{Limit: 10, Vault: "none"}, left: 500, seen: map[string]bool{}}
	l := open(t, Config{})
	for i := range 20 {
		appendAll(t, l, record(fmt.Sprint(i), true))
	}
	if err := s.series(t.Context(), l.dir, "audit-"); err != nil || s.left > 0 || s.left < -200 {
		t.Errorf("%d bytes are left, %v", s.left, err)
	}
}

func FuzzBackward(f *testing.F) {
	f.Add([]byte("a\n\nb\nc"), 0)
	f.Add(bytes.Repeat([]byte("x"), 300<<10), 1)
	f.Add(append(bytes.Repeat([]byte("line\n"), 100<<10), "torn"...), 3)
	f.Fuzz(func(t *testing.T, file []byte, stop int) {
		var got, want []string
		err := backward(bytes.NewReader(file), int64(len(file)), func(line []byte) error {
			got = append(got, string(line))
			if len(got) == stop {
				return fs.SkipAll
			}
			return nil
		})
		for line := range bytes.SplitSeq(file, []byte("\n")) {
			if len(line) > 0 {
				want = append(want, string(line))
			}
		}
		slices.Reverse(want)
		if stop > 0 && len(want) > stop {
			want = want[:stop]
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d lines, want %d, %v", len(got), len(want), err)
		}
		if err := backward(bytes.NewReader([]byte("a\n")), 2, func([]byte) error { return errors.New("x") }); err == nil {
			t.Error("an error is lost")
		}
	})
}
