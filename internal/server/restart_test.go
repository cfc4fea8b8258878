package server_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/server"
)

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	d := server.Dir(dir)
	first := start(t, local(dir))
	for path, mode := range map[string]fs.FileMode{
		dir: 0o700, d.AdminFile(): 0o600, d.KeyFile(): 0o600, filepath.Join(dir, "server.json"): 0o600,
		d.CA(): 0o644, d.Bundle(): 0o644, d.Truststore(): 0o644, filepath.Join(dir, "etcd"): 0o700,
	} {
		wantMode(t, path, mode)
	}

	set(t, first.vault("kv-dev"), "db-password", "correct horse")
	token, err := first.client.ManagementToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _, keys := first.fetch(first.Names().Own().LoginURL()+"/common/discovery/v2.0/keys", "")
	kept := map[string][]byte{}
	for _, path := range []string{d.CA(), d.Truststore(), d.AdminFile(), d.KeyFile()} {
		kept[path] = read(t, path)
	}
	state := first.State()
	first.stop()

	second := start(t, local(dir))
	if s := second.State(); s.TenantID != state.TenantID || s.SubscriptionID != state.SubscriptionID {
		t.Errorf("the restart has tenant %s and subscription %s, want %s and %s", s.TenantID, s.SubscriptionID, state.TenantID, state.SubscriptionID)
	}
	for path, want := range kept {
		if got := read(t, path); string(got) != string(want) {
			t.Errorf("%s changed", path)
		}
	}
	if status, _, body := second.fetch(second.Names().Own().ManagementURL()+"/subscriptions?api-version=2022-12-01", token); status != 200 {
		t.Errorf("a token from before the restart: status %d: %s", status, body)
	}
	if _, _, now := second.fetch(second.Names().Own().LoginURL()+"/common/discovery/v2.0/keys", ""); now != keys {
		t.Errorf("the published keys changed (-before +after):\n%s", cmp.Diff(keys, now))
	}
	if got := get(t, second.secrets("kv-dev"), "db-password"); got != "correct horse" {
		t.Errorf("the secret is %q", got)
	}
}

// files are all files of a directory but etcd's own: mode and hash by path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == filepath.Join(dir, "etcd") {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		info, err := e.Info()
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = fmt.Sprintf("%s %x", info.Mode(), sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// objects are the revisions of all that a stopped server's store holds.
func objects(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	b, err := server.OpenBackend(t.Context(), server.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Store.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for e := range v.Prefix("/", "") {
		all[e.Key] = e.Rev
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func busyPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

func TestStartIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start(t, local(dir)).stop()
	other := filepath.Join(t.TempDir(), "other")
	start(t, local(other)).stop()
	garbled := filepath.Join(t.TempDir(), "garbled.key")
	write(t, garbled, "not a key\n", 0o600)
	open := filepath.Join(t.TempDir(), "open.key")
	write(t, open, string(read(t, dir, "seal.key")), 0o644)
	cert, key := operatorFiles(t, ownNames...)
	openKey := filepath.Join(t.TempDir(), "open-tls.key")
	write(t, openKey, string(read(t, key)), 0o644)
	_, otherKey := operatorFiles(t, ownNames...)
	busy := busyPort(t)

	before, stored := files(t, dir), objects(t, dir)
	for name, test := range map[string]struct {
		change func(*server.Config)
		want   []string
	}{
		"wrong-key-file": {
			func(c *server.Config) { c.KeyFile = server.Dir(other).KeyFile() },
			[]string{"the key file does not open this store", "restore the key file that belongs to this store"},
		},
		"missing-key-file": {
			func(c *server.Config) { c.KeyFile = filepath.Join(dir, "no.key") },
			[]string{"no.key", "cannot be opened without this key file", "restore it from a backup"},
		},
		"garbled-key-file": {
			func(c *server.Config) { c.KeyFile = garbled },
			[]string{garbled, "restore it from a backup"},
		},
		"key-file-of-everybody": {
			func(c *server.Config) { c.KeyFile = open },
			[]string{"others than its owner", "chmod 600 " + open},
		},
		"other-domain": {
			func(c *server.Config) { c.Address = "other.example" },
			[]string{"this store belongs to domain lanyard.localhost, not other.example", "start with that domain"},
		},
		"other-tenant": {
			func(c *server.Config) { c.TenantID = "11111111-2222-3333-4444-555555555555" },
			[]string{"this store belongs to tenant", "not 11111111-2222-3333-4444-555555555555", "another data directory"},
		},
		"other-subscription": {
			func(c *server.Config) { c.SubscriptionID = "11111111-2222-3333-4444-555555555555" },
			[]string{"this store belongs to subscription"},
		},
		"other-tenant-and-new-admin": {
			func(c *server.Config) { c.TenantID, c.NewAdmin = "11111111-2222-3333-4444-555555555555", true },
			[]string{"this store belongs to tenant"},
		},
		"occupied-listen": {
			func(c *server.Config) { c.Listen, c.NewAdmin = busy, true },
			[]string{busy, "address already in use", "choose another address with --listen"},
		},
		"occupied-proxy": {
			func(c *server.Config) { c.Proxy = busy },
			[]string{"choose another address with --proxy"},
		},
		"occupied-debug": {
			func(c *server.Config) { c.Debug, c.AzureNames = busy, true },
			[]string{"choose another address with --debug"},
		},
		"no-tls-files": {
			func(c *server.Config) { c.TLSCert, c.TLSKey, c.NewAdmin = "no.crt", "no.key", true },
			[]string{"no.crt", "no such file"},
		},
		"tls-key-of-everybody": {
			func(c *server.Config) { c.TLSCert, c.TLSKey = cert, openKey },
			[]string{openKey, "open to everybody", "chmod 600"},
		},
		"tls-files-that-do-not-fit": {
			func(c *server.Config) { c.TLSCert, c.TLSKey = cert, otherKey },
			[]string{cert, "private key does not match"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := local(dir)
			test.change(&c)
			s, err := server.New(t.Context(), c)
			if err == nil {
				s.Close()
				t.Fatal("it started")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if diff := cmp.Diff(before, files(t, dir)); diff != "" {
				t.Errorf("files changed (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(stored, objects(t, dir)); diff != "" {
				t.Errorf("the store changed (-before +after):\n%s", diff)
			}
		})
	}
	start(t, local(dir)) // all of that did no harm
}

func TestTwoServersOnOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, local(dir))
	state := read(t, dir, "server.json")
	if _, err := server.New(t.Context(), local(dir)); err == nil || !strings.Contains(err.Error(), "in use by another lanyard: stop that one") {
		t.Errorf("the second start: %v", err)
	}
	if got := read(t, dir, "server.json"); string(got) != string(state) {
		t.Error("the second start changed server.json")
	}
	set(t, first.vault("kv-dev"), "one", "still here")
}

func TestValidateNamesEveryFault(t *testing.T) {
	t.Parallel()
	err := server.Config{
		Address: "a b", Listen: "x", Proxy: "10.0.0.1:1", Debug: ":1", TLSKey: "k", TenantID: "t", SubscriptionID: "s",
		AppLifetime: 1, IdentityLifetime: 1 << 62,
	}.Validate()
	for _, want := range []string{
		"data directory", "a b", `listen address "x"`, "proxy address", "debug address", "TLS certificate", "tenant id",
		"subscription id", "application token lifetime", "identity token lifetime",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the faults do not name %q: %v", want, err)
		}
	}
	if err := (server.Config{DataDir: "x"}).Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	if err := (server.Config{DataDir: "x", Proxy: "off", Debug: "off"}).Validate(); err != nil {
		t.Errorf("off is refused: %v", err)
	}
}

// A server that is told to stop does, keeps no goroutine and no file, and tells nobody off.
func TestStopLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 100)) // no unix socket fits in there
	c := local(long)
	c.Debug = "127.0.0.1:0"
	start(t, c).stop() // what is made once and kept is made now
	before := goroutines()
	r := start(t, c)
	r.vault("kv-dev")
	issuer, err := devissuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close()
	id := r.federate("workload", issuer.URL, issuer.CA)
	token, err := issuer.Token("default", "sa", audience, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if access, code := r.exchange(id.ClientID, token); access == "" {
		t.Fatalf("no token: %s", code)
	}
	r.stop()
	issuer.Close()
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left in the directory for temporary files: %v, %v", left, err)
	}
	wantGone(t, before)
	for _, addr := range []string{r.State().Listen, r.State().Proxy, r.State().Debug} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s still takes connections", addr)
		}
	}
}

func TestCloseWithoutRun(t *testing.T) {
	t.Parallel()
	s, err := server.New(context.Background(), local(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
