package store_test

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/store"
)

func TestDialSaysWhatIsWrong(t *testing.T) {
	write := func(name string, b []byte) string {
		t.Helper()
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	tls := httptest.NewUnstartedServer(nil)
	tls.EnableHTTP2 = true
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	ca := write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: tls.Certificate().Raw}))
	text := write("text", []byte("no PEM"))

	for _, c := range []struct {
		name string
		dial store.DialConfig
		want string
	}{
		{"no-endpoint", store.DialConfig{}, "no etcd endpoints"},
		{"refused", store.DialConfig{Endpoints: []string{"http://" + closed.Addr().String()}}, "connection refused"},
		{"no-answer", store.DialConfig{Endpoints: []string{"http://" + silent.Addr().String()}, Timeout: 100 * time.Millisecond}, "did not answer within 100ms"},
		{"no-socket", store.DialConfig{Endpoints: []string{"unix:///none"}}, "no such file"},
		{"unknown-ca", store.DialConfig{Endpoints: []string{tls.URL}}, "certificate signed by unknown authority"},
		{"ca-without-pem", store.DialConfig{Endpoints: []string{tls.URL}, CAFile: text}, "no PEM certificate in " + text},
		{"no-ca-file", store.DialConfig{Endpoints: []string{tls.URL}, CAFile: "/none"}, "no such file"},
		{"certificate-without-key", store.DialConfig{Endpoints: []string{tls.URL}, CertFile: ca}, "client certificate"},
		{"no-password-file", store.DialConfig{Endpoints: []string{tls.URL}, Username: "u", PasswordFile: "/none"}, "password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := store.Dial(c.dial)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Dial = %v, want %q in it", err, c.want)
			}
		})
	}
}
