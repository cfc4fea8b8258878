package store_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

// fakeEtcd says a version, and that there is nothing.
type fakeEtcd struct {
	pb.UnimplementedKVServer
	pb.UnimplementedMaintenanceServer
	version string
	silent  bool
	err     error
}

func (f *fakeEtcd) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	if f.silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pb.RangeResponse{Header: &pb.ResponseHeader{}}, f.err
}

func (f *fakeEtcd) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: &pb.ResponseHeader{}, Version: f.version}, nil
}

// serveGRPC serves a fake etcd, or with nil nothing at all, in gRPC.
func serveGRPC(t *testing.T, f *fakeEtcd) string {
	t.Helper()
	ln := listen(t)
	s := grpc.NewServer()
	if f != nil {
		pb.RegisterKVServer(s, f)
		pb.RegisterMaintenanceServer(s, f)
	}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(s.Stop)
	return "http://" + ln.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// serveConn has each connection to an address end as do says.
func serveConn(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	ln := listen(t)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				do(c)
			}()
		}
	}()
	return ln.Addr().String()
}

func etcdOf(version string) *fakeEtcd { return &fakeEtcd{version: version} }

func TestDialWantsAnEtcdThatIsNewEnough(t *testing.T) {
	for _, version := range []string{"3.5.13", "3.6.0", "3.7.3", "3.10.0", "3.8.0-alpha.0", "4.0.0"} {
		client, err := store.Dial(store.DialConfig{Endpoints: []string{serveGRPC(t, etcdOf(version))}})
		if err != nil {
			t.Errorf("etcd %s: %v", version, err)
			continue
		}
		_ = client.Close()
	}
	for _, version := range []string{"2.3.8", "3.3.27", "3.4.31", "3.5.0", "3.5.12", "3.5.12+git", "", "later"} {
		client, err := store.Dial(store.DialConfig{Endpoints: []string{serveGRPC(t, etcdOf(version)), serveGRPC(t, etcdOf("3.7.3"))}})
		if err == nil {
			_ = client.Close()
		}
		if want := "it is etcd " + version + ", and the oldest that will do is 3.5.13: upgrade it"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("etcd %s beside a newer one: %v, want %q in it", version, err, want)
		}
	}
}

// A member that has no leader for a moment has no code for that, and is an etcd.
func TestDialWhileALeaderIsElected(t *testing.T) {
	etcd := &fakeEtcd{version: "3.7.3", err: status.Error(codes.Unknown, "raft proposal dropped")}
	client, err := store.Dial(store.DialConfig{Endpoints: []string{serveGRPC(t, etcd)}})
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
}

func TestDialOfWhatIsNoEtcd(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello") })
	web := func(handler http.Handler, http2 bool) (url, ca string) {
		s := httptest.NewUnstartedServer(handler)
		s.EnableHTTP2, s.Config.ErrorLog = http2, log.New(io.Discard, "", 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		ca = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.URL, ca
	}
	plain := httptest.NewServer(hello)
	t.Cleanup(plain.Close)
	h1, h1CA := web(hello, false)
	h2, h2CA := web(hello, true)
	missing, missingCA := web(http.NotFoundHandler(), true)
	refuses, refusesCA := web(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), true)
	short := 300 * time.Millisecond

	for name, c := range map[string]struct {
		dial store.DialConfig
		want string
	}{
		"http-1":        {store.DialConfig{Endpoints: []string{plain.URL}}, "it is no etcd, or wants TLS"},
		"https-1":       {store.DialConfig{Endpoints: []string{h1}, CAFile: h1CA}, "--etcd-endpoints"},
		"https-2":       {store.DialConfig{Endpoints: []string{h2}, CAFile: h2CA}, "it is no etcd: it says"},
		"not-found":     {store.DialConfig{Endpoints: []string{missing}, CAFile: missingCA}, "it is no etcd: it says"},
		"forbidden":     {store.DialConfig{Endpoints: []string{refuses}, CAFile: refusesCA}, "it is no etcd: it says"},
		"another-grpc":  {store.DialConfig{Endpoints: []string{serveGRPC(t, nil)}}, "it is no etcd: it says"},
		"a-banner":      {store.DialConfig{Endpoints: []string{"http://" + serveConn(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_10.0\r\n"); _, _ = io.Copy(io.Discard, c) })}}, "it is no etcd, or wants TLS"},
		"hangs-up":      {store.DialConfig{Endpoints: []string{"http://" + serveConn(t, func(c net.Conn) { _, _ = bufio.NewReader(c).ReadByte() })}}, "it is no etcd, or wants TLS"},
		"hangs-up-tls":  {store.DialConfig{Endpoints: []string{"https://" + serveConn(t, func(net.Conn) {})}}, "--etcd-endpoints"},
		"silent":        {store.DialConfig{Endpoints: []string{"http://" + serveConn(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })}, Timeout: short}, "did not answer within 300ms"},
		"silent-tls":    {store.DialConfig{Endpoints: []string{"https://" + serveConn(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })}, Timeout: 2 * time.Second}, "did not answer within 2s"},
		"never-answers": {store.DialConfig{Endpoints: []string{serveGRPC(t, &fakeEtcd{silent: true})}, Timeout: short}, "did not answer within 300ms"},
		"no-such-host":  {store.DialConfig{Endpoints: []string{"http://etcd.invalid:2379"}, Timeout: short}, "--etcd-endpoints"},
		"no-scheme":     {store.DialConfig{Endpoints: []string{"ftp://127.0.0.1:1"}, Timeout: short}, "--etcd-endpoints"},
		"no-port":       {store.DialConfig{Endpoints: []string{"http://127.0.0.1"}, Timeout: short}, "--etcd-endpoints"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, user := range []string{"", "root"} {
				if c.dial.Username = user; user != "" {
					c.dial.PasswordFile = filepath.Join(t.TempDir(), "password")
					_ = os.WriteFile(c.dial.PasswordFile, []byte("x"), 0o600)
				}
				_, err := store.Dial(c.dial)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("user %q: Dial = %v, want %q in it", user, err, c.want)
				}
			}
		})
	}
}

// A user of etcd who lacks something is told what, when the store is opened.
func TestOpenTellsWhatTheUserLacks(t *testing.T) {
	etcd := etcdOn(t, url.URL{Scheme: "http", Host: "127.0.0.1:0"}, transport.TLSInfo{})
	defer etcd.Close()
	endpoints := []string{"http://" + etcd.Clients[0].Addr().String()}
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	right, wrong, empty := file("right", "p4ss\n"), file("wrong", "other"), file("empty", "\n")
	open := func(prefix, user, password string) error {
		client, err := store.Dial(store.DialConfig{Endpoints: endpoints, Username: user, PasswordFile: password})
		if err != nil {
			return err
		}
		defer client.Close()
		_, err = store.Open(t.Context(), store.Config{Client: client, Prefix: prefix})
		return err
	}
	setUpUsers(t, endpoints)

	for name, c := range map[string]struct{ prefix, user, password, want string }{
		"all-is-well":         {"/lanyard", "good", right, ""},
		"well-again":          {"/lanyard", "good", right, ""},
		"wrong-password":      {"/lanyard", "good", wrong, `it refuses user "good": correct --etcd-user or --etcd-password-file`},
		"no-such-user":        {"/lanyard", "nobody", right, `it refuses user "nobody": correct --etcd-user`},
		"no-user":             {"/lanyard", "", "", "etcd wants a user: set --etcd-user and --etcd-password-file"},
		"no-password":         {"/lanyard", "good", "", "--etcd-user and --etcd-password-file are set both or not at all"},
		"a-password-alone":    {"/lanyard", "", right, "--etcd-user and --etcd-password-file are set both or not at all"},
		"empty-password-file": {"/lanyard", "good", empty, "empty is empty"},
		"nothing-granted":     {"/lanyard", "none", right, "etcdctl role grant-permission ROLE readwrite /lanyard/ --prefix"},
		"another-prefix":      {"/other", "good", right, "etcdctl role grant-permission ROLE readwrite /other/ --prefix"},
		"may-only-read":       {"/lanyard", "reader", right, "etcdctl role grant-permission ROLE readwrite /lanyard/ --prefix"},
		"may-only-read-a-new": {"/new", "reader", right, "etcdctl role grant-permission ROLE readwrite /new/ --prefix"},
		"one-key-only":        {"/lanyard", "key", right, "etcdctl role grant-permission ROLE readwrite /lanyard/ --prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := open("/lanyard", "good", right); err != nil { // there is a store already
				t.Fatal(err)
			}
			switch err := open(c.prefix, c.user, c.password); {
			case c.want == "" && err != nil:
				t.Errorf("Open = %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("Open = %v, want %q in it", err, c.want)
			}
		})
	}
}

// A password that was changed in etcd and in its file is used without a restart; a file
// that cannot be read leaves what it said.
func TestEtcdPasswordIsReadAgain(t *testing.T) {
	etcd := etcdOn(t, url.URL{Scheme: "http", Host: "127.0.0.1:0"}, transport.TLSInfo{})
	defer etcd.Close()
	endpoints := []string{"http://" + etcd.Clients[0].Addr().String()}
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("p4ss\n")
	setUpUsers(t, endpoints)
	dial := func(user string, log *slog.Logger) *store.Client {
		t.Helper()
		c, err := store.Dial(store.DialConfig{Endpoints: endpoints, Username: user, PasswordFile: file, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var log surfacetest.Log
	root, client := dial("root", nil), dial("good", slog.New(slog.NewTextHandler(&log, nil)))
	defer root.Close()
	defer client.Close()
	change := func(password string) {
		t.Helper()
		if _, err := root.UserChangePassword(t.Context(), "good", password); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() error {
		_, err := client.Get(t.Context(), "/lanyard/x")
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	change("n3xt")
	if err := ask(); err == nil {
		t.Fatal("etcd takes the old password")
	}
	write("n3xt\n")
	if err := ask(); err != nil {
		t.Fatalf("after the file was changed, too: %v", err)
	}
	// The token is refused after each change, so that the client signs in again.
	write("")
	change("n3xt")
	if err := ask(); err != nil {
		t.Errorf("with an empty file: %v", err)
	}
	if !strings.Contains(log.String(), "kept the old password for etcd") || strings.Contains(log.String(), "n3xt") {
		t.Errorf("the log is %s", log.String())
	}
}

// setUpUsers makes users who may more and less, and has etcd ask for them.
func setUpUsers(t *testing.T, endpoints []string) {
	t.Helper()
	root, err := store.Dial(store.DialConfig{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx := t.Context()
	do := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for user, grants := range map[string][]struct {
		key, end string
		kind     clientv3.PermissionType
	}{
		"root":   nil,
		"none":   nil,
		"good":   {{"/lanyard/", clientv3.GetPrefixRangeEnd("/lanyard/"), clientv3.PermissionType(clientv3.PermReadWrite)}},
		"reader": {{"/", clientv3.GetPrefixRangeEnd("/"), clientv3.PermissionType(clientv3.PermRead)}},
		"key":    {{"/lanyard/format", "", clientv3.PermissionType(clientv3.PermReadWrite)}},
	} {
		do(root.RoleAdd(ctx, user))
		for _, g := range grants {
			do(root.RoleGrantPermission(ctx, user, g.key, g.end, g.kind))
		}
		do(root.UserAdd(ctx, user, "p4ss"))
		do(root.UserGrantRole(ctx, user, user))
	}
	do(root.AuthEnable(ctx))
}
