package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/lanyard-io/lanyard/internal/store"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

// authority writes ca.pem, and pairs of its own, into a directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	a.key = a.newKey()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: rand.Text()}, SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// pair writes NAME.pem and NAME.key.
func (a *authority) pair(name string) {
	a.t.Helper()
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", pkcs8)
}

// secureEtcd is an etcd that wants client certificates, all of the authority in dir.
func secureEtcd(t *testing.T, dir, address string) *embed.Etcd {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	return etcdOn(t, url.URL{Scheme: "https", Host: address},
		transport.TLSInfo{CertFile: in("server.pem"), KeyFile: in("server.key"), TrustedCAFile: in("ca.pem"), ClientCertAuth: true})
}

// etcdOn is an etcd behind a network, as an external one is.
func etcdOn(t *testing.T, at url.URL, tls transport.TLSInfo) *embed.Etcd {
	t.Helper()
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.LogOutputs = filepath.Join(t.TempDir(), "etcd"), "panic", []string{"/dev/null"}
	c.ListenClientUrls = []url.URL{at}
	c.AdvertiseClientUrls = c.ListenClientUrls
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}, []url.URL{{Scheme: "http", Host: "lanyard.invalid:2380"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.TickMs, c.ElectionMs, c.UnsafeNoFsync = 10, 50, true
	c.ClientTLSInfo = tls
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatal(err)
	}
	<-etcd.Server.ReadyNotify()
	return etcd
}

// A new CA and a new pair are in use for the next connection, without a restart.
func TestEtcdCertificatesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	renew := func() {
		a := newAuthority(t, dir)
		a.pair("server")
		a.pair("client")
	}
	renew()
	etcd := secureEtcd(t, dir, "127.0.0.1:0")
	address := etcd.Clients[0].Addr().String()
	in := func(name string) string { return filepath.Join(dir, name) }
	var log surfacetest.Log
	client, err := store.Dial(store.DialConfig{
		Endpoints: []string{"https://" + address}, CAFile: in("ca.pem"), CertFile: in("client.pem"), KeyFile: in("client.key"),
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ask := func() {
		t.Helper()
		for {
			_, err := client.Get(t.Context(), "x")
			if err == nil {
				return
			}
			if t.Context().Err() != nil {
				t.Fatalf("it did not connect again: %v", err)
			}
		}
	}
	ask()

	for range 2 {
		etcd.Close()
		renew()
		etcd = secureEtcd(t, dir, address)
		ask()
	}
	// Half a rotation keeps what was there.
	etcd.Close()
	if err := os.WriteFile(in("client.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	etcd = secureEtcd(t, dir, address)
	defer etcd.Close()
	ask()
	if !strings.Contains(log.String(), "kept the old certificates for etcd") {
		t.Errorf("the log is %q", log.String())
	}
}

// In TLS 1.3 a client learns after the handshake that its certificate is missing.
func TestDialWithoutTheCertificateThatEtcdWants(t *testing.T) {
	dir := t.TempDir()
	newAuthority(t, dir).pair("server")
	etcd := secureEtcd(t, dir, "127.0.0.1:0")
	defer etcd.Close()
	_, err := store.Dial(store.DialConfig{Endpoints: []string{"https://" + etcd.Clients[0].Addr().String()}, CAFile: filepath.Join(dir, "ca.pem")})
	if want := "the client certificate of --etcd-cert and --etcd-key"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Dial = %v, want %q in it", err, want)
	}
}
