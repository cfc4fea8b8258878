package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, c Config) *Log {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "audit")
	}
	if c.Now == nil {
		c.Now = func() time.Time { return noon }
	}
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func record(id string, granted bool) *Record {
	return &Record{Time: noon, ID: id, Correlation: "client-" + id, Action: "act", Resource: "res", Granted: granted}
}

func appendAll(t testing.TB, l *Log, records ...*Record) {
	t.Helper()
	for _, r := range records {
		if err := l.Append(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func find(t testing.TB, l *Log, id string) []Record {
	t.Helper()
	records, err := l.Find(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// lines are those of all files, without the empty ones.
func lines(t testing.TB, l *Log) []string {
	t.Helper()
	var all []string
	for _, prefix := range prefixes {
		numbers, err := list(l.dir, prefix)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range numbers {
			b, err := os.ReadFile(path(l.dir, prefix, n))
			if err != nil {
				t.Fatal(err)
			}
			all = slices.AppendSeq(all, strings.Lines(string(b)))
		}
	}
	return all
}

func TestAppendedRecordsAreFound(t *testing.T) {
	for _, where := range []string{"memory", "files"} {
		t.Run(where, func(t *testing.T) {
			granted := where == "files"
			l := open(t, Config{})
			a, b, c := record("a", granted), record("b", granted), record("c", granted)
			b.Correlation = a.Correlation
			appendAll(t, l, a, b, c)

			for id, want := range map[string][]Record{
				"a": {*a}, "client-a": {*a, *b}, "b": {*b}, "c": {*c}, "": nil, "nobody": nil, "act": nil,
			} {
				if diff := cmp.Diff(want, find(t, l, id)); diff != "" {
					t.Errorf("Find(%q) (-want +got):\n%s", id, diff)
				}
			}
		})
	}
}

func TestTimeIsFilledIn(t *testing.T) {
	l := open(t, Config{})
	r := record("a", true)
	r.Time = time.Time{}
	appendAll(t, l, r)
	if got := find(t, l, "a")[0].Time; !got.Equal(noon) || !r.Time.IsZero() {
		t.Errorf("time %v, want %v; the caller's is now %v", got, noon, r.Time)
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path(dir, "audit-", 1), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	appendAll(t, open(t, Config{Dir: dir, MaxFile: 1}), record("a", true), record("b", true))
	for name, want := range map[string]os.FileMode{dir: 0o700, path(dir, "audit-", 1): 0o600, path(dir, "audit-", 2): 0o600} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestConcurrentAppendsAreWholeLines(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync-%v", sync), func(t *testing.T) {
			const writers, each = 16, 20
			l := open(t, Config{MaxFile: 20_000, Keep: -1, Sync: sync})
			appendMany(t, l, writers, each)

			seen := map[string]int{}
			for _, line := range lines(t, l) {
				var r Record
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatalf("line %q: %v", line, err)
				}
				seen[r.ID]++
			}
			if len(seen) != writers*each {
				t.Errorf("%d records in the files, want %d", len(seen), writers*each)
			}
			for id, n := range seen {
				if n != 1 {
					t.Errorf("record %s is there %d times", id, n)
				}
			}
		})
	}
}

func appendMany(t *testing.T, l *Log, writers, each int) {
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				r := record(fmt.Sprintf("%d.%d", w, n), n%2 == 0)
				r.Reason, r.Remote = strings.Repeat("x", 10*w), fmt.Sprintf("10.0.%d.%d", w, n)
				if err := l.Append(context.Background(), r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRotationKeepsTheNewest(t *testing.T) {
	l := open(t, Config{MaxFile: 300, Keep: 3})
	for i := range 20 {
		appendAll(t, l, record(fmt.Sprint(i), true))
	}
	numbers, err := list(l.dir, "audit-")
	if err != nil || len(numbers) != 3 {
		t.Fatalf("files %v, %v; want 3", numbers, err)
	}
	for _, n := range numbers {
		if info, err := os.Stat(path(l.dir, "audit-", n)); err != nil || info.Size() > 300 {
			t.Errorf("file %d: %v, %v; want at most 300 bytes", n, info.Size(), err)
		}
	}
	if len(find(t, l, "19")) != 1 || len(find(t, l, "0")) != 0 {
		t.Error("the newest record is gone, or the oldest is not")
	}
}

func TestOneRequestAcrossFiles(t *testing.T) {
	l := open(t, Config{MaxFile: 1, Keep: -1})
	var want []Record
	for i := range 4 {
		r := record(fmt.Sprint(i), true)
		r.Correlation = "shared"
		want = append(want, *r)
		appendAll(t, l, r)
	}
	appendAll(t, l, record("later", true))
	if diff := cmp.Diff(want, find(t, l, "shared")); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestReopenContinues(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, Config{Dir: dir, MaxFile: 1})
	appendAll(t, l, record("a", false), record("b", false))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(context.Background(), record("x", true)); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Append after Close: %v, want kind unavailable", err)
	}

	l = open(t, Config{Dir: dir})
	appendAll(t, l, record("c", false))
	if got := len(lines(t, l)); got != 3 { // a | b, c
		t.Errorf("%d lines, want 3", got)
	}
	for _, id := range []string{"a", "b", "c"} {
		if len(find(t, l, id)) != 1 {
			t.Errorf("record %s is lost", id)
		}
	}
}

func TestTornLineIsEndedAndSkipped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, Config{Dir: dir})
	appendAll(t, l, record("a", true), record("torn", true))
	l.Close()
	info, err := os.Stat(path(dir, "audit-", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path(dir, "audit-", 1), info.Size()-3); err != nil {
		t.Fatal(err)
	}

	l = open(t, Config{Dir: dir})
	appendAll(t, l, record("b", true))
	if len(find(t, l, "a")) != 1 || len(find(t, l, "b")) != 1 || len(find(t, l, "torn")) != 0 {
		t.Errorf("after the repair: %q", lines(t, l))
	}
}

func TestRecentIsBounded(t *testing.T) {
	l := open(t, Config{Recent: 10})
	for i := range 30 {
		r := record(fmt.Sprint(i), false)
		r.Correlation = fmt.Sprint("c", i%2)
		appendAll(t, l, r)
	}
	if got := len(find(t, l, "c0")); got != 5 {
		t.Errorf("memory gives %d records of c0, want the latest 5", got)
	}
	if got := len(find(t, l, "3")); got != 1 {
		t.Errorf("the files give %d records of an old refusal, want 1", got)
	}

	r := newRecent(1000)
	line := make([]byte, 1<<20)
	for i := range 100 {
		r.add(fmt.Sprint(i), "same", line)
	}
	r.add("huge", "same", make([]byte, maxRecentBytes+1))
	if got := len(r.find("same")); got != maxRecentBytes>>20 || len(r.index) != got+1 || r.bytes > maxRecentBytes {
		t.Errorf("%d lines with %d bytes and %d ids in memory", got, r.bytes, len(r.index))
	}
}

func TestFindIsBounded(t *testing.T) {
	var file bytes.Buffer
	for i := range maxFound + 10 {
		file.Write(appendRecord(nil, &Record{ID: "x", Reason: fmt.Sprint(i)}, noon))
	}
	file.WriteString(`{"id":"x","reason":"` + strings.Repeat("y", maxLine) + "\"}\n")
	file.WriteString(`{"id":"x","reason":"torn`)
	records, err := searchFile(context.Background(), &file, "x")
	if err != nil || len(records) != maxFound {
		t.Fatalf("found %d records, %v; want %d", len(records), err, maxFound)
	}
	if first, last := records[0].Reason, records[maxFound-1].Reason; first != "10" || last != fmt.Sprint(maxFound+9) {
		t.Errorf("found %s to %s, want the newest", first, last)
	}
}

func TestFindHeedsItsContext(t *testing.T) {
	l := open(t, Config{})
	appendAll(t, l, record("a", true))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Find(ctx, "a"); err == nil {
		t.Error("Find went on after its context ended")
	}
}

func FuzzSearch(f *testing.F) {
	f.Add([]byte("{\"id\":\"a\"}\n\n{\"id\":\"a\"\n{\"correlation\":\"a\",\"time\":7}\n{\"correlation\":\"a\"}\n{\"id\":\"a\"}"), "a")
	f.Fuzz(func(t *testing.T, file []byte, id string) {
		records, err := searchFile(context.Background(), bytes.NewReader(file), id)
		if err != nil || len(records) > bytes.Count(file, []byte("\n")) {
			t.Fatalf("%d records, %v", len(records), err)
		}
		for _, r := range records {
			if r.ID != id && r.Correlation != id {
				t.Fatalf("found %+v for %q", r, id)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync-%v", sync), func(b *testing.B) {
			l := open(b, Config{Sync: sync})
			r := full()
			r.Granted, r.Exchange = true, nil
			b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := l.Append(context.Background(), r); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
