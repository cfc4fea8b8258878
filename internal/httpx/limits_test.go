package httpx_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/httpx"
)

// dial opens a TLS connection of our own to the fixture, for HTTP/1.1 by hand.
func (f *fixture) dial(t *testing.T) net.Conn {
	t.Helper()
	config := f.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName, config.NextProtos = "example.com", []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func echo() httpx.Route {
	return httpx.Route{
		Pattern: "POST /echo", Op: "echo", MaxBody: 100, Timeout: time.Minute,
		Handle: func(w http.ResponseWriter, r *http.Request) error {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return fmt.Errorf("reading: %w", err)
			}
			_, err = w.Write(b)
			return err
		},
	}
}

func TestBodiesOverTheLimit(t *testing.T) {
	f := newFixture(t, httpx.Config{}, echo())
	if got := f.do(t, "POST", vaultHost, "/echo", strings.Repeat("a", 100)); got.status != 200 {
		t.Errorf("100 bytes: got %d %s", got.status, got.body)
	}
	if got := f.do(t, "POST", vaultHost, "/echo", strings.Repeat("a", 101)); got.kind(t) != "too_large" {
		t.Errorf("101 bytes: got %d %s", got.status, got.body)
	}

	conn := f.dial(t) // a chunked body does not tell its length
	fmt.Fprintf(conn, "POST /echo HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n%s\r\n0\r\n\r\n", vaultHost, strings.Repeat("a", 0x65))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: got %s", resp.Status)
	}
}

func TestNoBodyIsIgnored(t *testing.T) {
	f := newFixture(t, httpx.Config{}, get("POST /none", "none", func(w http.ResponseWriter, r *http.Request) error {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d", len(b))
		return err
	}))
	if got := f.do(t, "POST", vaultHost, "/none", "a body"); got.body != "0" {
		t.Errorf("got %q, want 0", got.body)
	}
}

// An HTTP/2 stream whose body is left unread is reset, which curl takes for the
// end of the answer.
func TestUnwantedBodyIsReadAway(t *testing.T) {
	f := newFixture(t, httpx.Config{}, get("GET /none", "none", reply("here")))
	body, w := strings.NewReader(strings.Repeat("x", 1000)), httptest.NewRecorder()
	f.edge.ServeHTTP(w, httptest.NewRequest("GET", "https://"+vaultHost+"/none", body))
	if w.Body.String() != "here" || body.Len() > 0 {
		t.Errorf("answer %q with %d bytes unread, want %q with none", w.Body, body.Len(), "here")
	}
}

func TestSlowBodyEndsInTime(t *testing.T) {
	short := echo()
	short.Timeout = 50 * time.Millisecond
	form := short
	form.Pattern, form.Handle = "POST /form", func(_ http.ResponseWriter, r *http.Request) error {
		_, err := httpx.ReadForm(r)
		return err
	}
	f := newFixture(t, httpx.Config{}, short, form)
	t.Run("http1", func(t *testing.T) {
		for _, path := range []string{"/echo", "/form"} {
			conn := f.dial(t)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\nhalf", path, vaultHost)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
				t.Errorf("%s: got %s, close %v; want 408 and a closed connection", path, resp.Status, resp.Close)
			}
			<-f.done
		}
	})
	t.Run("http2", func(t *testing.T) {
		body, stuck := io.Pipe()
		defer stuck.Close()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", f.URL+"/echo", body)
		req.Host = vaultHost
		resp, err := f.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestTimeout || resp.ProtoMajor != 2 {
			t.Errorf("got %s %s, want HTTP/2.0 408", resp.Proto, resp.Status)
		}
		<-f.done
	})
	for _, e := range f.events(t) {
		if e["kind"] != "timeout" || e["level"] != "INFO" {
			t.Errorf("event = %v, want kind timeout at INFO", e)
		}
	}
}

func TestSlowHandlerEndsInTime(t *testing.T) {
	slow := get("GET /slow", "slow", func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return r.Context().Err()
	})
	slow.Timeout = 20 * time.Millisecond
	f := newFixture(t, httpx.Config{}, slow)
	if got := f.do(t, "GET", vaultHost, "/slow", ""); got.kind(t) != "timeout" {
		t.Errorf("got %d %s, want timeout", got.status, got.body)
	}
}

func TestSlowReaderEndsInTime(t *testing.T) {
	endless := get("GET /endless", "endless", func(w http.ResponseWriter, _ *http.Request) error {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	})
	endless.Timeout = 50 * time.Millisecond
	f := newFixture(t, httpx.Config{}, endless)
	t.Run("http1", func(t *testing.T) {
		fmt.Fprintf(f.dial(t), "GET /endless HTTP/1.1\r\nHost: %s\r\n\r\n", vaultHost)
		<-f.done // the handler ends although nobody reads
	})
	t.Run("http2", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", f.URL+"/endless", nil)
		req.Host = vaultHost
		resp, err := f.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		<-f.done
	})
}

func TestKeepAliveOutlivesADeadline(t *testing.T) {
	brief := echo()
	brief.Timeout = 30 * time.Millisecond
	wait := get("GET /wait", "wait", func(w http.ResponseWriter, _ *http.Request) error {
		<-time.After(2 * brief.Timeout) // past the earlier request's deadlines, on this connection
		return reply("waited")(w, nil)
	})
	f := newFixture(t, httpx.Config{}, brief, wait)
	conn := f.dial(t)
	in := bufio.NewReader(conn)
	for _, request := range []string{
		"POST /echo HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\nhi",
		"GET /wait HTTP/1.1\r\nHost: %s\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\nhi",
	} {
		fmt.Fprintf(conn, request, vaultHost)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%.10s: %v", request, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("%.10s: got %s", request, resp.Status)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/secrets/n", "//secrets//n/", "/secrets/../n", "/secrets/%2e%2e/n", "/tree", "/slash/n", "/a%2F/b",
		"*", "", "/%", "/\"%2f", "/secrets/n%00", "/secrets/n;x", "http://x/secrets/n", "/é%2f..", "/.", "/secrets/n?x=//",
	} {
		f.Add("GET", s)
	}
	f.Add("CONNECT", "/tree")
	e := newEdge(f, httpx.Config{Log: discard()}, secretRoutes()...)
	f.Fuzz(func(t *testing.T, method, target string) {
		raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, target, vaultHost)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		r.Host = vaultHost
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		switch {
		case w.Code >= 300 && w.Code < 400 || w.Code >= 500:
			t.Errorf("%s %q: got %d", method, target, w.Code)
		case w.Code == 200 && bytes.Contains(w.Body.Bytes(), []byte("..")) && strings.Contains(w.Body.String(), "/.."):
			t.Errorf("%s %q: a dot segment reached a handler: %q", method, target, w.Body)
		}
	})
}
