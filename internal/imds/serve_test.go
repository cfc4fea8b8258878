package imds_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/imds"
)

// Both loopback addresses have the same port, and serving ends with the context.
func TestServeOnLoopback(t *testing.T) {
	listeners, err := imds.ListenLoopback(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	port := listeners[0].Addr().(*net.TCPAddr).Port
	if _, err := imds.ListenLoopback(t.Context(), port); err == nil || !strings.Contains(err.Error(), "--proxy-port") {
		t.Errorf("a port that is taken: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-ready:
		default:
			http.Error(w, "the token file is not there", http.StatusServiceUnavailable)
		}
	})
	done := make(chan error, 1)
	go func() { done <- imds.Serve(ctx, listeners, handler, slog.New(slog.DiscardHandler)) }()
	for _, ln := range listeners {
		if ip := ln.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
			t.Errorf("it listens on %s", ip)
		}
		res, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}

	if err := imds.Probe(t.Context(), port, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "not ready: the token file is not there") {
		t.Errorf("a sidecar that is not ready: %v", err)
	}
	close(ready)
	if err := imds.Probe(t.Context(), port, time.Minute); err != nil {
		t.Errorf("one that is: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := imds.Probe(t.Context(), port, 10*time.Millisecond); err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("one that has ended: %v", err)
	}
}

// The real service refuses what says for whom it was forwarded.
func TestForwarder(t *testing.T) {
	var got *http.Request
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		fmt.Fprint(w, "instance")
	}))
	defer real.Close()
	forward, err := imds.Forwarder(real.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ask := func() *http.Response {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:8000/metadata/instance?api-version=1", nil)
		r.Header.Set("Metadata", "true")
		forward.ServeHTTP(w, r)
		return w.Result()
	}
	res := ask()
	if b, err := io.ReadAll(res.Body); err != nil || string(b) != "instance" {
		t.Errorf("the answer is %q: %v", b, err)
	}
	if got.Header.Get("Metadata") != "true" || got.Header.Get("X-Forwarded-For") != "" || "http://"+got.Host != real.URL || got.URL.RawQuery != "api-version=1" {
		t.Errorf("what came is %s %s %v", got.Host, got.URL, got.Header)
	}
	real.Close()
	if res := ask(); res.StatusCode != http.StatusBadGateway {
		t.Errorf("without the service it is %d", res.StatusCode)
	}
}

func TestSettings(t *testing.T) {
	whole := imds.Settings{Port: 8000, TokenFile: "/token", TenantID: "0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10", Authority: "https://login.example/"}
	for name, test := range map[string]struct {
		change func(*imds.Settings)
		faults []string
	}{
		"whole":      {func(*imds.Settings) {}, nil},
		"empty":      {func(s *imds.Settings) { *s = imds.Settings{} }, []string{"--token-file is not set", "--tenant-id is not set", "--authority-host is not set"}},
		"port":       {func(s *imds.Settings) { s.Port = 70000 }, []string{"port 70000: want 1 to 65535"}},
		"identities": {func(s *imds.Settings) { s.Identities = []string{"client-id=a", "x=b"} }, []string{`identity "x=b"`}},
	} {
		s := whole
		test.change(&s)
		_, err := s.Sidecar()
		var all []string
		if list, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range list.Unwrap() {
				all = append(all, e.Error())
			}
		} else if err != nil {
			all = append(all, err.Error())
		}
		if len(all) != len(test.faults) {
			t.Errorf("%s: %v, want %v", name, errors.Join(err), test.faults)
			continue
		}
		for i, want := range test.faults {
			if !strings.Contains(all[i], want) {
				t.Errorf("%s: %q, want %q", name, all[i], want)
			}
		}
	}
}
