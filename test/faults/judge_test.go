package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The judge itself must be able to say no.

// op is one request: from and to are when it was sent and answered.
func op(from, to int64, v verb, value string, o outcome, read string) porcupine.Operation {
	return porcupine.Operation{ClientId: int(from), Call: from, Return: to, Input: input{v, value}, Output: result{o, read}}
}

func TestHistories(t *testing.T) {
	const never = int64(1) << 62
	for name, test := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"a-write-is-read":         {[]porcupine.Operation{op(1, 2, set, "a", done, ""), op(3, 4, get, "", done, "a")}, true},
		"a-write-is-lost":         {[]porcupine.Operation{op(1, 2, set, "a", done, ""), op(3, 4, get, "", missing, "")}, false},
		"an-old-value":            {[]porcupine.Operation{op(1, 2, set, "a", done, ""), op(3, 4, set, "b", done, ""), op(5, 6, get, "", done, "a")}, false},
		"at-once-either-wins":     {[]porcupine.Operation{op(1, 9, set, "a", done, ""), op(2, 8, set, "b", done, ""), op(10, 11, get, "", done, "a")}, true},
		"deleted-and-back":        {[]porcupine.Operation{op(1, 2, set, "a", done, ""), op(3, 4, del, "", done, ""), op(5, 6, get, "", done, "a")}, false},
		"a-deleted-name-is-taken": {[]porcupine.Operation{op(1, 2, set, "a", done, ""), op(3, 4, del, "", done, ""), op(5, 6, set, "b", taken, ""), op(7, 8, purge, "", done, ""), op(9, 10, set, "b", done, "")}, true},
		"unknown-took-effect":     {[]porcupine.Operation{op(1, never, set, "a", unknown, ""), op(3, 4, get, "", done, "a")}, true},
		"unknown-took-none":       {[]porcupine.Operation{op(1, never, set, "a", unknown, ""), op(3, 4, get, "", missing, "")}, true},
		"unknown-came-and-went":   {[]porcupine.Operation{op(1, never, set, "a", unknown, ""), op(3, 4, get, "", done, "a"), op(5, 6, get, "", missing, "")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, decided := checkHistory(test.ops, time.Minute)
			if got != test.want || !decided {
				t.Errorf("linearizable %t (decided %t), want %t", got, decided, test.want)
			}
		})
	}
}

func TestOwnNames(t *testing.T) {
	there := func(v string) answer { return answer{status: 200, body: []byte(text(map[string]string{"value": v}))} }
	gone := answer{status: 404}
	for name, test := range map[string]struct {
		is   secret
		end  answer
		want string // the kind of fault, or none
	}{
		"kept":                  {secret{value: value("n", 1), set: done}, there(value("n", 1)), ""},
		"lost":                  {secret{value: value("n", 1), set: done}, gone, lost},
		"not-readable":          {secret{value: value("n", 1), set: done}, answer{status: 503}, lost},
		"risen":                 {secret{value: value("n", 1), set: done, del: done}, there(value("n", 1)), risen},
		"foreign":               {secret{value: value("n", 1), set: unknown}, there("who wrote this"), foreign},
		"of-another-name":       {secret{value: value("n", 1), set: done}, there(value("m", 1)), wrong},
		"unknown-and-not-there": {secret{value: value("n", 1), set: unknown}, gone, ""},
		"unknown-and-there":     {secret{value: value("n", 1), set: unknown}, there(value("n", 1)), ""},
		"delete-unknown":        {secret{value: value("n", 1), set: done, del: unknown}, gone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.judgeOwn("n", test.is, test.end)
			if test.want == "" && len(l.faults) > 0 || test.want != "" && l.faults[test.want] == 0 {
				t.Errorf("faults %v, want %q", l.faults, test.want)
			}
		})
	}
}

func TestAnswersWithoutARecord(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "audit"), 0o700); err != nil {
		t.Fatal(err)
	}
	records := `{"id":"one","granted":true}` + "\n" + `{"id":"two","granted":false}` + "\n" + `{"id":"cut","gra`
	if err := os.WriteFile(filepath.Join(dir, "audit", "any.jsonl"), []byte(records), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	for _, id := range []string{"one", "two", "three"} {
		l.heard(answer{status: 200, id: id}, id, true)
	}
	if err := l.judgeAudit([]*node{{dir: dir}}); err != nil {
		t.Fatal(err)
	}
	if got := l.faults[unrecorded]; got != 2 {
		t.Errorf("%d answers without a record, want 2: %v", got, l.examples)
	}
}

func TestShares(t *testing.T) {
	began := time.Now()
	p := &probe{}
	for i := range 20 { // silent from the fifth second to the tenth
		at := began.Add(time.Duration(i) * time.Second)
		p.samples = append(p.samples, sample{began: at, took: time.Millisecond, ok: i < 5 || i >= 10})
	}
	if got := share(began, began.Add(10*time.Second), p); got != 50 {
		t.Errorf("share %v, want 50", got)
	}
	if got, ok := p.downAfter(began); !ok || got != 5*time.Second+time.Millisecond {
		t.Errorf("down for %s, %t, want 5.001s", got, ok)
	}
}

// holds says whether a connection is held up.
func (n *network) holds() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if n.isolated[l.from] && l.out == nil {
			return true
		}
	}
	return false
}

// What a member that is cut off says does not arrive, and does when all is healed.
func TestNetworkIsCut(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	heard := make(chan string, 10)
	go func() {
		for {
			c, err := target.Accept()
			if err != nil {
				return
			}
			go func() {
				for lines := bufio.NewScanner(c); lines.Scan(); {
					heard <- lines.Text()
				}
				io.WriteString(c, "bye")
			}()
		}
	}()
	n := newNetwork()
	defer n.close()
	if err := n.forward("127.0.0.1:0", target.Addr().String(), func() string { return "b" }); err != nil {
		t.Fatal(err)
	}
	say := func(words string) net.Conn {
		c, err := net.Dial("tcp", n.ln[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nX-Server-From: a\r\n\r\n"+words+"\n")
		return c
	}
	expect := func(want string) {
		t.Helper()
		for got := range heard {
			if strings.HasPrefix(got, "word") {
				if got != want {
					t.Fatalf("heard %q, want %q", got, want)
				}
				return
			}
		}
	}
	defer say("word one").Close()
	expect("word one")
	n.isolate("a")
	cut := say("word two")
	defer cut.Close()
	for !n.holds() { // until it has arrived there
		runtime.Gosched()
	}
	n.heal()
	if b, err := io.ReadAll(cut); err == nil && len(b) > 0 {
		t.Errorf("a connection that was cut goes on: %q", b)
	}
	defer say("word three").Close()
	expect("word three")
}
