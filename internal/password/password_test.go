package password

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

func TestHashAndVerify(t *testing.T) {
	h, ctx := NewHasher(), t.Context()
	const word = "correct horse battery"
	one, err := h.Hash(ctx, word)
	if err != nil {
		t.Fatal(err)
	}
	two, err := h.Hash(ctx, word)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || strings.Contains(one, word) || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hashes %s and %s", one, two)
	}
	for presented, want := range map[string]bool{word: true, word + " ": false, "": false, strings.ToUpper(word): false} {
		if got, err := h.Verify(ctx, one, presented); err != nil || got != want {
			t.Errorf("Verify(%q) = %v %v, want %v", presented, got, err, want)
		}
	}
	if got, err := h.Verify(ctx, "", word); got || err != nil {
		t.Errorf("nobody's hash: %v %v", got, err)
	}
}

// Parameters that a hash was stored with are the ones it is checked with, within limits.
func TestParameters(t *testing.T) {
	h := hash{memory: 8, passes: 1, threads: 2, salt: make([]byte, 16), key: make([]byte, 32)}
	h.key = h.of("word")
	if got, err := NewHasher().Verify(t.Context(), h.encode(), "word"); err != nil || !got {
		t.Errorf("another parameter set: %v %v", got, err)
	}
	good := h.encode()
	for _, bad := range []string{
		"x", prefix, strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "m=8", "m=1000000", 1),
		strings.Replace(good, "t=1", "t=4000000000", 1), strings.Replace(good, "p=2", "p=0", 1), strings.Replace(good, "v=19", "v=16", 1),
		good + "$", good[:len(good)-4], strings.Replace(good, "m=8,", "", 1),
	} {
		if ok, err := NewHasher().Verify(t.Context(), bad, "word"); err == nil || ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

// However many come, only slots of them hash, and who comes when the queue is
// full is turned away.
func TestCrowd(t *testing.T) {
	h := NewHasher()
	for range slots {
		h.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	kinds := make(chan apierr.Kind, 2*(slots+waiting))
	var all sync.WaitGroup
	for range 2 * (slots + waiting) {
		all.Go(func() {
			_, err := h.Verify(ctx, "", "word")
			kinds <- apierr.KindOf(err)
		})
	}
	turnedAway := 0
	for range slots + waiting {
		if k := <-kinds; k == apierr.Throttled {
			turnedAway++
		}
	}
	cancel()
	all.Wait()
	if turnedAway != slots+waiting {
		t.Errorf("%d were turned away, want %d", turnedAway, slots+waiting)
	}
	for range slots + waiting {
		if k := <-kinds; k != apierr.Timeout {
			t.Errorf("one that waited got kind %v, want %v", k, apierr.Timeout)
		}
	}
}

func TestCheck(t *testing.T) {
	for word, want := range map[string]string{
		"short": "10 characters", strings.Repeat("ab", 20): "different", "my-alice-password": "name", "correct horse": "",
		strings.Repeat("abcdefg", 40): "256", "with\x00control1": "typed", "bad\xffbytes 123": "typed", "пароль длинный": "",
	} {
		err := Check(word, "Alice@lanyard.test")
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), word)) {
			t.Errorf("Check(%q) = %v, want %q", word, err, want)
		}
	}
	if err := Check(Generate(), "alice@lanyard.test"); err != nil {
		t.Errorf("a generated one: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	h := newHash()
	f.Add(h.encode())
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parse(s)
		if err != nil {
			return
		}
		if again, err := parse(h.encode()); err != nil || again.encode() != h.encode() {
			t.Errorf("parse(%q) is written %q", s, h.encode())
		}
		if h.memory > maxMemoryKiB || h.passes > maxPasses || h.threads > maxThreads {
			t.Errorf("parse(%q) takes too much: %+v", s, h)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := NewHasher()
	for b.Loop() {
		if _, err := h.Verify(b.Context(), "", "correct horse battery"); err != nil {
			b.Fatal(err)
		}
	}
}
