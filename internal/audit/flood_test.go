package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
)

// stranger is a refused token request with as much as one can bring.
func stranger(remote string) *Record {
	long := strings.Repeat("\x00", 20_000)
	return &Record{
		ID: model.NewUUID(), Correlation: long, Remote: remote, Action: "token.issue", Code: "AADSTS700016", Reason: long, Resource: long,
		Exchange: &Exchange{ClientID: long, Issuer: long, Subject: long, Audiences: []string{long, long, long}, Scope: long, KeyID: long},
	}
}

func size(t *testing.T, dir, prefix string) (bytes int64) {
	t.Helper()
	numbers, err := list(dir, prefix)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		info, err := os.Stat(path(dir, prefix, n))
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	return bytes
}

// A stranger with one address, then one with a /48 of IPv6, then one with a /16 of
// IPv4, send what they can for an hour.
func TestStrangersCannotPushOutNorFill(t *testing.T) {
	for _, keep := range []int{2, -1} {
		t.Run(fmt.Sprint("keep ", keep), func(t *testing.T) {
			at := noon
			l := open(t, Config{MaxFile: 4 << 20, Keep: keep, KeepRefused: 2, Now: func() time.Time { return at }})
			change := record("change", true)
			change.Outcome = &Outcome{Status: 201}
			appendAll(t, l, record("granted", true), change, &Record{ID: "honest", Remote: "198.51.100.7", Action: "a"})
			before := size(t, l.dir, "audit-") + size(t, l.dir, "change-")

			from := [...]func(n int) string{
				func(int) string { return "192.0.2.1" },
				func(n int) string { return fmt.Sprintf("2001:db8:1:%x::%x", n%0x10000, n) },
				func(n int) string { return fmt.Sprintf("203.0.%d.%d", n>>8&255, n&255) },
			}
			n := 0
			for minute := range 60 {
				for range 400 {
					appendAll(t, l, stranger(from[minute/20](n)))
					n++
				}
				at = at.Add(time.Minute)
				l.tend(t.Context())
			}

			for _, id := range []string{"granted", "change", "honest"} {
				if len(find(t, l, id)) != 1 {
					t.Errorf("the record %s was pushed out", id)
				}
			}
			if now := size(t, l.dir, "audit-") + size(t, l.dir, "change-"); now != before {
				t.Errorf("strangers wrote %d bytes where others do", now-before)
			}
			wrote := size(t, l.dir, "refused-")
			t.Logf("%d refusals wrote %d bytes", n, wrote)
			// A burst of each kind of stranger, an hour's worth of each, and the counts.
			if most := int64(1<<10) * (strangerBurst*(1+8) + 20*strangerPerMinute*(1+8) + everyBurst + 20*everyPerMinute + 60*maxCounted/3); wrote > most || wrote > 2<<20 {
				t.Errorf("strangers wrote %d bytes, want at most %d", wrote, most)
			}
			if held := len(l.sample.counted); held > maxCounted {
				t.Errorf("%d sources are counted", held)
			}
		})
	}
}

// However much is refused, the files of refusals have their bound, also when all
// of the others are kept.
func TestRefusalsAreBoundedWhenAllIsKept(t *testing.T) {
	at := noon
	l := open(t, Config{MaxFile: 400_000, Keep: -1, KeepRefused: 3, Now: func() time.Time { return at }})
	for range 2000 {
		appendAll(t, l, stranger("192.0.2.1"))
		at = at.Add(time.Minute)
	}
	if got := size(t, l.dir, "refused-"); got > 300_000 || got < 100_000 {
		t.Errorf("refusals have %d bytes, want up to 3 files of 100,000", got)
	}
}

// Who has signed in and is refused is counted by what is known of it, and takes
// nothing from others.
func TestCallersAreCountedApart(t *testing.T) {
	l := open(t, Config{})
	for _, oid := range []string{"one", "two"} {
		for i := range callerBurst + 50 {
			appendAll(t, l, &Record{ID: fmt.Sprint(oid, i), Remote: "192.0.2.1", Action: "act", Code: "no", Caller: &model.Caller{ObjectID: oid}})
		}
	}
	appendAll(t, l, stranger("192.0.2.1"))
	if got := len(lines(t, l)); got != 2*callerBurst+1 {
		t.Errorf("%d lines, want %d", got, 2*callerBurst+1)
	}
	if got := find(t, l, fmt.Sprint("one", callerBurst+49)); len(got) != 1 {
		t.Error("a refusal that was counted only is not in memory either")
	}
	l.tend(t.Context())
	var counts []string
	for _, line := range lines(t, l) {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.More > 0 {
			counts = append(counts, fmt.Sprint(r.More, " ", r.Caller.ObjectID, " ", r.Action, " ", r.Code, " ", r.Granted))
		}
	}
	if len(counts) != 2 || !strings.HasPrefix(counts[0], "50 ") || !strings.HasSuffix(counts[1], " act no false") {
		t.Errorf("counts %q", counts)
	}
	l.tend(t.Context())
	if again := len(lines(t, l)); again != 2*callerBurst+3 {
		t.Errorf("%d lines: the counts were written twice", again)
	}
}

// A count that could not be written is not lost, and neither is one at the end.
func TestCountsAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, Config{Dir: dir})
	for range strangerBurst + 7 {
		appendAll(t, l, stranger("192.0.2.1"))
	}
	name := path(dir, "refused-", 1)
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	l.tend(t.Context())
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(b), `"more":7`) {
		t.Errorf("the last file has %q, %v", b, err)
	}
}

func TestRunWritesTheCounts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	synctest.Test(t, func(t *testing.T) {
		l := open(t, Config{Dir: dir, Now: time.Now})
		go l.Run(t.Context())
		for range strangerBurst + 7 {
			appendAll(t, l, stranger("192.0.2.1"))
		}
		time.Sleep(tendEvery + time.Second)
		synctest.Wait()
		if all := lines(t, l); !strings.Contains(all[len(all)-1], `"more":7`) {
			t.Errorf("the last line is %s", all[len(all)-1])
		}
	})
}

func TestOldFilesGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	at := noon
	const day = 24 * time.Hour
	l := open(t, Config{Dir: dir, Keep: -1, MaxAge: 8 * day, Now: func() time.Time { return at }})
	age := func() { // the files' times are the machine's: make them the test's
		for _, prefix := range prefixes {
			numbers, err := list(dir, prefix)
			if err != nil {
				t.Fatal(err)
			}
			newest := path(dir, prefix, numbers[len(numbers)-1])
			if err := os.Chtimes(newest, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 20 {
		appendAll(t, l, record(fmt.Sprint("day", i), true), record(fmt.Sprint("no", i), false))
		age()
		at = at.Add(day + time.Hour)
		l.tend(t.Context())
	}
	for id, want := range map[string]int{"day0": 0, "day10": 0, "day19": 1, "no19": 1, "day14": 1} {
		found(t, l, id, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	at = at.Add(100 * day) // it was off for long
	l = open(t, Config{Dir: dir, Keep: -1, MaxAge: 8 * day, Now: func() time.Time { return at }})
	l.tend(t.Context())
	l.tend(t.Context())
	found(t, l, "day18", 0)
	found(t, l, "day19", 0)
	appendAll(t, l, record("new", true))
	found(t, l, "new", 1)
}

// The oldest layout had one series, refusals and all.
func TestOldLayoutIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old := `{"time":"2026-11-01T12:00:00Z","id":"old","correlation":"c","action":"token.issue","resource":"r","granted":false,"reason":"why","code":"AADSTS700213","exchange":{"clientId":"r","scope":"s","method":"federated","issuer":"i","subject":"s","audiences":["a"],"registered":[{"name":"n","issuer":"i","subject":"t","audience":"a"}],"differed":["subject"],"hint":"h"}}` + "\n"
	if err := os.WriteFile(path(dir, "audit-", 3), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	l := open(t, Config{Dir: dir})
	appendAll(t, l, record("new", true))
	if got := find(t, l, "old"); len(got) != 1 || got[0].Reason != "why" || got[0].Exchange.Registered[0].Subject != "t" {
		t.Errorf("the old record is %+v", got)
	}
	found(t, l, "new", 1)
}
