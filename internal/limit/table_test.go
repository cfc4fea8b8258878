package limit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type clock struct{ now time.Time }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

func table(c Config) (*Table, *clock) {
	at := &clock{noon}
	c.Now = func() time.Time { return at.now }
	return New(c), at
}

// taken is how many of n the source gets.
func taken(t *Table, remote string, n int) (got int) {
	for range n {
		if t.Take(SourceOf(remote)) == 0 {
			got++
		}
	}
	return got
}

func TestSources(t *testing.T) {
	for _, tt := range []struct{ remote, near, wide string }{
		{"192.0.2.7", "192.0.2.7", ""},
		{"::ffff:192.0.2.7", "192.0.2.7", ""},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
		{"", "unknown", ""},
		{"nonsense", "unknown", ""},
	} {
		s := SourceOf(tt.remote)
		if s.String() != tt.near || s.wide.prefix.IsValid() != (tt.wide != "") || tt.wide != "" && s.wide.prefix.String() != tt.wide {
			t.Errorf("SourceOf(%q) = %v in %v, want %s in %q", tt.remote, s, s.wide.prefix, tt.near, tt.wide)
		}
	}
}

func TestSameSite(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"192.0.2.1", "192.0.2.1", true}, {"192.0.2.1", "192.0.2.2", false}, {"192.0.2.1", "2001:db8::1", false},
		{"2001:db8:1:2::1", "2001:db8:1:3::1", true}, {"2001:db8:1::1", "2001:db8:2::1", false},
	} {
		if got := SourceOf(tt.a).SameSite(SourceOf(tt.b)); got != tt.want {
			t.Errorf("%s and %s: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestBucketsBySource(t *testing.T) {
	l, at := table(Config{PerMinute: 60, Burst: 5})
	if got := taken(l, "192.0.2.1", 9); got != 5 {
		t.Errorf("%d at once, want 5", got)
	}
	if got := taken(l, "192.0.2.2", 9); got != 5 {
		t.Errorf("another address has %d, want 5", got)
	}
	if wait := l.Wait(SourceOf("192.0.2.1")); wait <= 0 || wait > time.Second {
		t.Errorf("it is to wait %v, want up to a second", wait)
	}
	at.pass(2 * time.Second)
	if got := taken(l, "192.0.2.1", 9); got != 2 {
		t.Errorf("two seconds later %d, want 2", got)
	}
	l.Give(SourceOf("192.0.2.1"))
	if got := taken(l, "192.0.2.1", 9); got != 1 {
		t.Errorf("of one that was given back %d are there", got)
	}
	at.pass(-time.Hour)
	if got := taken(l, "192.0.2.2", 9); got != 0 {
		t.Errorf("after the clock was set back %d, want none", got)
	}
	at.pass(2 * time.Second)
	if got := taken(l, "192.0.2.2", 9); got != 2 {
		t.Errorf("and two seconds later %d, want 2", got)
	}
	if l.Limited() == 0 {
		t.Error("nobody was counted")
	}
}

func TestNoLimit(t *testing.T) {
	l := New(Config{})
	if l != nil || taken(l, "192.0.2.1", 99) != 99 || l.Wait(Source{}) != 0 || l.Limited() != 0 {
		t.Error("a table without a rate limits")
	}
	l.Give(Source{})
}

// One host has a /64, one site a /48: neither gets more by using all of it.
func TestPrefixIsOneSource(t *testing.T) {
	l, _ := table(Config{PerMinute: 60, Burst: 5})
	got := 0
	for i := range 1000 {
		got += taken(l, fmt.Sprintf("2001:db8:1:2::%x", i), 1)
	}
	if got != 5 {
		t.Errorf("a /64 had %d, want 5", got)
	}
	got = 0
	for i := range 1 << 16 {
		got += taken(l, fmt.Sprintf("2001:db8:2:%x::1", i), 1)
	}
	if got != 5*crowd {
		t.Errorf("a /48 had %d, want %d", got, 5*crowd)
	}
}

// However many come, the table has its size, and who was there is still told apart.
func TestTableIsBounded(t *testing.T) {
	const size = 100
	l, at := table(Config{PerMinute: 60, Burst: 5, Size: size})
	taken(l, "192.0.2.1", 5)
	got := 0
	for i := range 1 << 16 {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		got += taken(l, a.String(), 9)
		if len(l.buckets) > size {
			t.Fatalf("%d buckets", len(l.buckets))
		}
	}
	if most := (size-1)*5 + 5*crowd; got != most {
		t.Errorf("strangers had %d, want %d", got, most)
	}
	if taken(l, "192.0.2.1", 1) != 0 {
		t.Error("strangers made the table forget who has none left")
	}
	at.pass(time.Minute)
	if got := taken(l, "198.51.100.1", 9); got != 5 || len(l.buckets) > 2 {
		t.Errorf("after a rest a newcomer had %d, and %d are remembered", got, len(l.buckets))
	}
}

func FuzzSourceOf(f *testing.F) {
	f.Add("192.0.2.1")
	f.Add("2001:db8::1%25")
	f.Fuzz(func(t *testing.T, remote string) {
		if s := SourceOf(remote); s.String() == "" || len(s.String()) > 45 {
			t.Errorf("SourceOf(%q) = %q", remote, s)
		}
	})
}
