package kubetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Binaries is the variable that names the directory of etcd and kube-apiserver.
const Binaries = "LANYARD_KUBERNETES"

// readyIn is when a start counts as failed: far more than a slow machine needs.
const readyIn = 2 * time.Minute

// TB is what is needed of a *testing.T; measurements have one of their own.
type TB interface {
	Helper()
	Context() context.Context
	TempDir() string
	Cleanup(func())
	Skip(args ...any)
	Fatal(args ...any) // does not return
	Fatalf(format string, args ...any)
}

// Server is etcd and kube-apiserver. They end with the test.
type Server struct {
	URL        string
	Kubeconfig []byte // of system:masters

	ca       *authority
	dir      string
	binaries string
	ports    [3]string // of the API server, etcd's clients, etcd's peers
	api      *process
}

// Start starts both. Without binaries the test is skipped, but fails in CI.
func Start(t TB) *Server {
	t.Helper()
	s := &Server{binaries: os.Getenv(Binaries), ca: newAuthority(t), dir: t.TempDir()}
	if s.binaries == "" {
		const words = Binaries + " does not name a directory with etcd and kube-apiserver: test/cluster/build makes one"
		if os.Getenv("CI") != "" {
			t.Fatal(words)
		}
		t.Skip("NOT TESTED on a real API server: " + words)
	}
	s.choosePorts(t)
	s.URL = "https://127.0.0.1:" + s.ports[0]
	s.Kubeconfig = s.KubeconfigFor(t, time.Now().Add(12*time.Hour), "admin", "system:masters")
	s.writeFiles(t)
	client, peer := "http://127.0.0.1:"+s.ports[1], "http://127.0.0.1:"+s.ports[2]
	etcd := s.run(t, "etcd", "--name=test", "--data-dir="+s.file("etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls="+client, "--advertise-client-urls="+client, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=test="+peer)
	t.Cleanup(etcd.stop)
	s.Up(t)
	t.Cleanup(s.Down)
	return s
}

// Up starts the API server, again after Down, and waits until it is ready.
func (s *Server) Up(t TB) {
	t.Helper()
	s.api = s.run(t, "kube-apiserver", "--etcd-servers=http://127.0.0.1:"+s.ports[1], "--secure-port="+s.ports[0],
		"--bind-address=127.0.0.1", "--endpoint-reconciler-type=none", "--cert-dir="+s.file("generated"),
		"--client-ca-file="+s.file("ca.crt"), "--tls-cert-file="+s.file("server.crt"), "--tls-private-key-file="+s.file("server.key"),
		"--service-account-issuer=https://issuer.kubetest.invalid", "--service-account-signing-key-file="+s.file("accounts.key"),
		"--service-account-key-file="+s.file("accounts.key"), "--authorization-mode=RBAC", "--profiling=false",
		"--service-cluster-ip-range=10.96.0.0/16")
	s.await(t)
}

// Down stops the API server. etcd stays.
func (s *Server) Down() { s.api.stop() }

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) choosePorts(t TB) {
	t.Helper()
	for i := range s.ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		defer ln.Close() // all at once, so that they differ
		_, s.ports[i], err = net.SplitHostPort(ln.Addr().String())
		check(t, err)
	}
}

func (s *Server) writeFiles(t TB) {
	t.Helper()
	cert, key := s.ca.leaf(t, pkix.Name{CommonName: "kube-apiserver"}, time.Now().Add(12*time.Hour))
	for name, content := range map[string][]byte{
		"ca.crt": s.ca.pem(), "server.crt": cert, "server.key": key, "accounts.key": keyPEM(t, newKey(t)),
	} {
		check(t, os.WriteFile(s.file(name), content, 0o600))
	}
}

// await polls: kube-apiserver says in no other way when it is ready.
func (s *Server) await(t TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), readyIn)
	defer cancel()
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	for {
		err := ready(ctx, client, s.URL+"/readyz")
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("kube-apiserver is not ready: %v\n%s", err, s.api.log.Bytes())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func ready(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %d", resp.StatusCode)
	}
	return nil
}

// process is a program that ends with us, however we end.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	log   *tail
}

// run starts a program beneath a shell that kills it when our end of its input
// closes.
func (s *Server) run(t TB, program string, args ...string) *process {
	t.Helper()
	const script = `"$@" & pid=$!; read -r _; kill -9 $pid; wait $pid 2>/dev/null`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", filepath.Join(s.binaries, program)}, args...)...)
	p := &process{cmd: cmd, log: &tail{}}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	var err error
	p.stdin, err = cmd.StdinPipe()
	check(t, err)
	check(t, cmd.Start())
	return p
}

func (p *process) stop() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

// tail keeps the end of what a program writes.
type tail struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *tail) Write(b []byte) (int, error) {
	if l.Len() > 64<<10 {
		l.Reset()
	}
	return l.Buffer.Write(b)
}

// Client is an HTTP client with the rights of system:masters, and no limit of
// its own.
func (s *Server) Client(t TB) *http.Client {
	t.Helper()
	cert, key := s.ca.leaf(t, pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, time.Now().Add(12*time.Hour))
	pair, err := tls.X509KeyPair(cert, key)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.cert)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
