package pki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/lanyard-io/lanyard/internal/pki"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func serial(t *testing.T, c *pki.Certificates) string {
	t.Helper()
	cert, err := c.Get(hello())
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf.SerialNumber.String()
}

func hello() *tls.ClientHelloInfo { return &tls.ClientHelloInfo{} }

func TestCertificateIsRenewedAtTwoThirds(t *testing.T) {
	clk := &clock{time.Now()}
	c, err := pki.NewCertificates(pki.Config{CA: newCA(t), Names: leafNames(), Lifetime: 30 * time.Hour, Log: slog.New(slog.DiscardHandler), Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	first := serial(t, c)
	clk.t = clk.t.Add(19 * time.Hour)
	if serial(t, c) != first {
		t.Error("renewed too early")
	}
	clk.t = clk.t.Add(2 * time.Hour)
	second := serial(t, c)
	if second == first {
		t.Error("not renewed")
	}
	if serial(t, c) != second {
		t.Error("renewed twice")
	}
}

func TestCertificateIsKeptWhenTheAuthorityEnds(t *testing.T) {
	clk := &clock{time.Now()}
	var log bytes.Buffer
	c, err := pki.NewCertificates(pki.Config{CA: newCA(t), Names: leafNames(), Log: slog.New(slog.NewTextHandler(&log, nil)), Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	first := serial(t, c)
	clk.t = clk.t.AddDate(11, 0, 0)
	if serial(t, c) != first || !strings.Contains(log.String(), "kept the old certificate") {
		t.Errorf("log = %q", log.String())
	}
}

// pair writes a certificate and its key, as an operator would.
func pair(t *testing.T, dir string, keyMode os.FileMode) (certFile, keyFile string) {
	t.Helper()
	leaf, err := newCA(t).Leaf(leafNames(), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, "tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}), 0o644),
		write(t, dir, "tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), keyMode)
}

func TestFilesAreReloaded(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := pair(t, dir, 0o600)
	clk := &clock{time.Now()}
	var log bytes.Buffer
	c, err := pki.NewCertificates(pki.Config{CertFile: certFile, KeyFile: keyFile, Log: slog.New(slog.NewTextHandler(&log, nil)), Now: clk.now})
	if err != nil {
		t.Fatal(err)
	}
	first := serial(t, c)

	pair(t, dir, 0o600)
	if serial(t, c) != first {
		t.Error("looked at the files again within ten seconds")
	}
	clk.t = clk.t.Add(11 * time.Second)
	second := serial(t, c)
	if second == first {
		t.Error("not reloaded")
	}

	t.Run("bad-pair-keeps-the-old", func(t *testing.T) {
		write(t, dir, "tls.key", []byte("half a key, longer or shorter than the whole one"), 0o600)
		for range 3 {
			clk.t = clk.t.Add(11 * time.Second)
			if serial(t, c) != second {
				t.Error("the old certificate is gone")
			}
		}
		if n := strings.Count(log.String(), "kept the old certificate"); n != 1 {
			t.Errorf("logged %d times, want once", n)
		}
	})
	t.Run("missing-file-keeps-the-old", func(t *testing.T) {
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		clk.t = clk.t.Add(11 * time.Second)
		if serial(t, c) != second {
			t.Error("the old certificate is gone")
		}
	})
	t.Run("good-pair-is-taken", func(t *testing.T) {
		pair(t, dir, 0o640)
		clk.t = clk.t.Add(11 * time.Second)
		if serial(t, c) == second {
			t.Error("not reloaded")
		}
	})
}

// Files are read whatever wrote them: with a byte order mark, as UTF-16, with CRLF.
func TestFilesOfOtherPrograms(t *testing.T) {
	for name, as := range map[string]func([]byte) []byte{
		"bom":  func(b []byte) []byte { return append([]byte("\ufeff"), b...) },
		"crlf": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) },
		"utf-16": func(b []byte) []byte {
			out := []byte{0xff, 0xfe}
			for _, unit := range utf16.Encode([]rune(string(b))) {
				out = binary.LittleEndian.AppendUint16(out, unit)
			}
			return out
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certFile, keyFile := pair(t, dir, 0o600)
			for _, file := range []string{certFile, keyFile} {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				write(t, dir, filepath.Base(file), as(b), 0o600)
			}
			c := pki.Config{CertFile: certFile, KeyFile: keyFile, Log: slog.New(slog.DiscardHandler), Now: time.Now}
			if _, err := pki.NewCertificates(c); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeyFileOpenToEverybodyIsRefused(t *testing.T) {
	certFile, keyFile := pair(t, t.TempDir(), 0o644)
	_, err := pki.NewCertificates(pki.Config{CertFile: certFile, KeyFile: keyFile, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("err = %v", err)
	}
}

func TestConfigIsOneOrTheOther(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for name, c := range map[string]pki.Config{
		"neither":  {},
		"both":     {CA: newCA(t), Names: leafNames(), CertFile: "a", KeyFile: "b"},
		"one-file": {CertFile: "a"},
		"no-names": {CA: newCA(t)},
	} {
		c.Log, c.Now = log, time.Now
		if _, err := pki.NewCertificates(c); err == nil {
			t.Errorf("%s: NewCertificates accepted it", name)
		}
	}
}

// TestConcurrentHandshakes is for the race detector.
func TestConcurrentHandshakes(t *testing.T) {
	c, err := pki.NewCertificates(pki.Config{CA: newCA(t), Names: leafNames(), Lifetime: time.Nanosecond, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				_, _ = c.Get(hello())
			}
		})
	}
	wg.Wait()
}
