package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// ownProcess runs the test that calls it again, in a process of its own, and
// is true there: limitFiles would keep the testing package from its own files.
func ownProcess(t *testing.T) bool {
	t.Helper()
	const mark = "LANYARD_TEST_OWN_PROCESS"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), mark+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// limitFiles makes writes beyond size fail, as on a full disk: the part that
// fits is written.
func limitFiles(t *testing.T, size int64) (lift func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	now := before
	now.Cur = uint64(size)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
		t.Fatal(err)
	}
	lift = sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
	t.Cleanup(lift)
	return lift
}

func mustFail(t *testing.T, l *Log, r *Record) {
	t.Helper()
	if err := l.Append(context.Background(), r); apierr.KindOf(err) != apierr.Unavailable {
		t.Fatalf("Append = %v, want an error of kind unavailable", err)
	}
}

func found(t *testing.T, l *Log, id string, want int) {
	t.Helper()
	if got := len(find(t, l, id)); got != want {
		t.Errorf("record %s is found %d times, want %d; the lines are %q", id, got, want, lines(t, l))
	}
}

func TestFailedAndNotWritten(t *testing.T) {
	if !ownProcess(t) {
		return
	}
	line := int64(len(appendRecord(nil, record("b", true), noon)))
	for _, tt := range []struct {
		name string
		room int64
	}{{"nothing", 0}, {"half-a-line", line / 2}, {"all-but-the-newline", line - 1}} {
		t.Run(tt.name, func(t *testing.T) {
			l := open(t, Config{})
			appendAll(t, l, record("a", true))
			info, err := os.Stat(path(l.dir, "audit-", 1))
			if err != nil {
				t.Fatal(err)
			}

			lift := limitFiles(t, info.Size()+tt.room)
			mustFail(t, l, record("b", true))
			mustFail(t, l, record("c", true))
			lift()
			found(t, l, "c", 0)

			appendAll(t, l, record("d", true))
			found(t, l, "a", 1)
			found(t, l, "d", 1)

			restarted := open(t, Config{Dir: l.dir})
			found(t, restarted, "a", 1)
			found(t, restarted, "d", 1)
		})
	}
}

func TestFailedButWritten(t *testing.T) {
	l := open(t, Config{Sync: true})
	appendAll(t, l, record("a", false))

	// A pipe takes the line, but cannot be synced.
	name := path(l.dir, "refused-", 1)
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	mustFail(t, l, record("b", false))
	if line, err := bufio.NewReader(pipe).ReadString('\n'); err != nil || !strings.Contains(line, `"id":"b"`) {
		t.Fatalf("the pipe got %q, %v", line, err)
	}
	if len(l.recent.find("b")) != 0 {
		t.Error("memory knows a refusal whose record failed")
	}

	if err := os.Rename(name+".old", name); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, record("c", true))
	found(t, l, "a", 1)
	found(t, l, "c", 1)
}

func TestFullDevice(t *testing.T) {
	l := open(t, Config{})
	if err := os.Remove(path(l.dir, "audit-", 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path(l.dir, "audit-", 1)); err != nil {
		t.Fatal(err)
	}
	err := l.Append(context.Background(), record("a", true))
	if !errors.Is(err, syscall.ENOSPC) || strings.Contains(apierr.Detail(err), l.dir) {
		t.Errorf("Append = %v, detail %q", err, apierr.Detail(err))
	}
	if err := os.Remove(path(l.dir, "audit-", 1)); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, record("b", true))
	found(t, l, "b", 1)
}

func TestRemovedFileIsMadeAgain(t *testing.T) {
	for _, what := range []string{"file", "directory"} {
		t.Run(what, func(t *testing.T) {
			l := open(t, Config{})
			appendAll(t, l, record("a", true))
			name := path(l.dir, "audit-", 1)
			if what == "directory" {
				name = l.dir
			}
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
			appendAll(t, l, record("b", true))
			found(t, l, "a", 0)
			found(t, l, "b", 1)
		})
	}
}

func TestRotationThatFails(t *testing.T) {
	l := open(t, Config{MaxFile: 1})
	appendAll(t, l, record("a", true))
	if err := os.Mkdir(path(l.dir, "audit-", 2), 0o700); err != nil {
		t.Fatal(err)
	}
	mustFail(t, l, record("b", true))
	if err := os.Remove(path(l.dir, "audit-", 2)); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, record("c", true))
	found(t, l, "a", 1)
	found(t, l, "b", 0)
	found(t, l, "c", 1)
}

// Whatever happened to the writes, a record is there if its Append said so.
func TestAFullDiskAmongManyWriters(t *testing.T) {
	if !ownProcess(t) {
		return
	}
	l := open(t, Config{})
	appendAll(t, l, record("before", true))
	lift := limitFiles(t, 10_000)

	var mu sync.Mutex
	written, refused := []string{}, 0
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 20 {
				id := fmt.Sprintf("%d.%d", w, n)
				err := l.Append(context.Background(), record(id, true))
				mu.Lock()
				if err == nil {
					written = append(written, id)
				} else {
					refused++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	lift()

	appendAll(t, l, record("after", true))
	if len(written) == 0 || refused == 0 {
		t.Fatalf("%d written, %d refused: want some of both", len(written), refused)
	}
	for _, id := range append(written, "before", "after") {
		found(t, l, id, 1)
	}
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(Config{Dir: file + "/audit"}); err == nil {
		l.Close()
		t.Error("Open made a directory below a file")
	}
}

func TestAppendStopsWaiting(t *testing.T) {
	l := open(t, Config{})
	l.series[granted].writing.Lock() // a write that hangs
	first := make(chan error, 1)
	go func() { first <- l.Append(context.Background(), record("a", true)) }()
	for waiting := false; !waiting; runtime.Gosched() {
		l.series[granted].mu.Lock()
		waiting = l.series[granted].next != nil
		l.series[granted].mu.Unlock()
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Append(ctx, record("b", true)); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("Append = %v, want an error of kind unavailable", err)
	}
	l.series[granted].writing.Unlock()
	if err := <-first; err != nil {
		t.Error(err)
	}
	found(t, l, "b", 1) // the record is not taken back
}
