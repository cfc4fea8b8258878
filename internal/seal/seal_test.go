package seal

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

const name = "/vaults/demo/versions/password/0123456789abcdef0123456789abcdef"

func TestRoundTrip(t *testing.T) {
	s := newTestSealer(t)
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		name := rapid.String().Draw(t, "name")
		sealed, err := s.Seal(value, name)
		if err != nil {
			t.Fatalf("Seal: %v", err)
		}
		got, err := s.Open(sealed, name)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		if !bytes.Equal(got, value) {
			t.Errorf("Open = %x, want %x", got, value)
		}
		if other := rapid.String().Draw(t, "other"); other != name {
			if _, err := s.Open(sealed, other); err == nil {
				t.Errorf("Open under %q succeeded, sealed under %q", other, name)
			}
		}
	})
}

func TestOpenRefusesEveryChange(t *testing.T) {
	s := newTestSealer(t)
	sealed := mustSeal(t, s, "LevelUp Lab Secret", name)
	for i := range sealed {
		if _, err := s.Open(sealed[:i], name); err == nil {
			t.Errorf("the first %d of %d bytes opened", i, len(sealed))
		}
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := s.Open(changed, name); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	if _, err := s.Open(append(bytes.Clone(sealed), 0), name); err == nil {
		t.Error("opened with a byte more")
	}
}

func TestSealHidesTheValueAndNeverRepeats(t *testing.T) {
	s := newTestSealer(t)
	a := mustSeal(t, s, "LevelUp Lab Secret", name)
	b := mustSeal(t, s, "LevelUp Lab Secret", name)
	if bytes.Equal(a, b) {
		t.Error("the same value sealed twice gives the same bytes")
	}
	if bytes.Contains(a, []byte("LevelUp")) {
		t.Error("the sealed value shows the value")
	}
}

func TestRotatedStillOpensOldValues(t *testing.T) {
	old := newTestSealer(t)
	before := mustSeal(t, old, "one", name)

	rotated, err := old.Rotated()
	if err != nil {
		t.Fatal(err)
	}
	if rotated.Current(before) {
		t.Error("a value from before the rotation counts as current")
	}
	wantOpen(t, rotated, before, "one")

	after := mustSeal(t, rotated, "two", name)
	if !rotated.Current(after) {
		t.Error("a value from after the rotation does not count as current")
	}
	if !old.Current(before) {
		t.Error("the rotation changed the sealer that it copied")
	}
	if _, err := old.Open(after, name); err == nil || !strings.Contains(err.Error(), "does not have") {
		t.Errorf("opening with the older keyset: %v, want it to say that the data key is not there", err)
	}

	wrapped, err := rotated.Wrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Load(t.Context(), wrapped); err != nil {
		t.Fatalf("Load: %v", err)
	}
	wantOpen(t, old, after, "two")
	wantOpen(t, old, before, "one")
	if !old.Current(mustSeal(t, old, "three", name)) || !rotated.Current(mustSeal(t, old, "three", name)) {
		t.Error("after Load the new data key is not the primary one")
	}
}

func TestCurrentOfRubbish(t *testing.T) {
	s := newTestSealer(t)
	for _, b := range [][]byte{nil, {}, {1}, []byte("short"), make([]byte, 100)} {
		if s.Current(b) {
			t.Errorf("Current(%x) = true", b)
		}
	}
}

func TestUnwrapGivesTheSameKeys(t *testing.T) {
	kek := newTestKeyFile(t)
	s, err := New(kek)
	if err != nil {
		t.Fatal(err)
	}
	sealed := mustSeal(t, s, "kept", name)
	again, err := Unwrap(t.Context(), mustWrap(t, s), mustOpenKeyFile(t, kek.path))
	if err != nil {
		t.Fatal(err)
	}
	wantOpen(t, again, sealed, "kept")
}

func TestUnwrapWithAnotherKeyFile(t *testing.T) {
	kek, other := newTestKeyFile(t), newTestKeyFile(t)
	s, err := New(kek)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Unwrap(t.Context(), mustWrap(t, s), other)
	if !errors.Is(err, ErrWrongKey) {
		t.Fatalf("Unwrap: %v, want ErrWrongKey", err)
	}
	for _, want := range []string{kek.keys[0].id.String(), other.keys[0].id.String(), other.path} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q: %v", want, err)
		}
	}
}

func TestUnwrapRefusesEveryChange(t *testing.T) {
	kek := newTestKeyFile(t)
	s, err := New(kek)
	if err != nil {
		t.Fatal(err)
	}
	wrapped := mustWrap(t, s)
	for i := range wrapped {
		if _, err := Unwrap(t.Context(), wrapped[:i], kek); err == nil {
			t.Errorf("the first %d of %d bytes unwrapped", i, len(wrapped))
		}
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1
		if _, err := Unwrap(t.Context(), changed, kek); err == nil {
			t.Errorf("unwrapped with byte %d changed", i)
		}
	}
}

// TestWrapIsBoundToItsName: what the key file's key encrypts for anything else
// does not pass for a keyset.
func TestWrapIsBoundToItsName(t *testing.T) {
	kek := newTestKeyFile(t)
	s, err := New(kek)
	if err != nil {
		t.Fatal(err)
	}
	wrapped := mustWrap(t, s)
	header := wrapped[:wrapHeader:wrapHeader]
	clearText, err := kek.keys[0].aead.Open(nil, nil, wrapped[wrapHeader:], wrapData(keysetName, header))
	if err != nil {
		t.Fatal(err)
	}
	other := kek.keys[0].aead.Seal(header, nil, clearText, append([]byte("other\x00"), header...))
	if _, err := Unwrap(t.Context(), other, kek); err == nil {
		t.Error("a keyset encrypted under another name unwrapped")
	}
	if bytes.Contains(wrapped, clearText[len(clearText)-16:]) {
		t.Error("the wrapped keyset shows the keyset")
	}
}

func TestSealersRunConcurrently(t *testing.T) {
	s := newTestSealer(t)
	old := mustSeal(t, s, "old", name)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				if _, err := s.Open(old, name); err != nil {
					t.Errorf("Open: %v", err)
				}
				if _, err := s.Seal([]byte("new"), name); err != nil {
					t.Errorf("Seal: %v", err)
				}
			}
		})
	}
	for range 10 {
		next, err := s.Rotated()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Load(t.Context(), mustWrap(t, next)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	s := newTestSealer(f)
	sealed := mustSeal(f, s, "value", name)
	f.Add(sealed, name)
	f.Add(sealed, "/other")
	f.Add(sealed[:5], name)
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, b []byte, n string) {
		value, err := s.Open(b, n)
		if err == nil && (!bytes.Equal(b, sealed) || n != name || string(value) != "value") {
			t.Errorf("Open(%x, %q) = %q", b, n, value)
		}
		s.Current(b)
	})
}

func FuzzUnwrap(f *testing.F) {
	kek := newTestKeyFile(f)
	s, err := New(kek)
	if err != nil {
		f.Fatal(err)
	}
	wrapped := mustWrap(f, s)
	f.Add(wrapped)
	f.Add(wrapped[:wrapHeader])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Unwrap(t.Context(), b, kek); err == nil && !bytes.Equal(b, wrapped) {
			t.Errorf("Unwrap(t.Context(), %x) succeeded", b)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s, value := newTestSealer(b), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(value, name); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := newTestSealer(b)
	sealed := mustSeal(b, s, strings.Repeat("x", 64), name)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(sealed, name); err != nil {
			b.Fatal(err)
		}
	}
}

func newTestKeyFile(t testing.TB) *KeyFile {
	t.Helper()
	k, err := CreateKeyFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newTestSealer(t testing.TB) *Sealer {
	t.Helper()
	s, err := New(newTestKeyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustOpenKeyFile(t testing.TB, path string) *KeyFile {
	t.Helper()
	k, err := OpenKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustSeal(t testing.TB, s *Sealer, value, name string) []byte {
	t.Helper()
	sealed, err := s.Seal([]byte(value), name)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func mustWrap(t testing.TB, s *Sealer) []byte {
	t.Helper()
	wrapped, err := s.Wrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return wrapped
}

func wantOpen(t *testing.T, s *Sealer, sealed []byte, want string) {
	t.Helper()
	got, err := s.Open(sealed, name)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if string(got) != want {
		t.Errorf("Open = %q, want %q", got, want)
	}
}
