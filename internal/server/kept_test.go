package server_test

import (
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store"
)

// keep is where TestKeepAStore puts the store that it makes. Each release that
// changes what is stored adds one, and none is ever changed:
//
//	go test ./internal/server -run TestKeepAStore -keep testdata/kept/NAME
var keep = flag.String("keep", "", "make a store for TestKeptStores in this `folder`")

// kept says what is in a kept store, so that a later program can be asked for it.
type kept struct {
	Kinds      []model.Kind      `json:"kinds"`
	Secrets    map[string]string `json:"secrets"` // of the vault kv-kept
	Deleted    map[string]string `json:"deleted"` // that can be recovered
	Issuer     string            `json:"issuer"`
	IssuerKey  []byte            `json:"issuerKey"` // PKCS#8, of the key that was uploaded for Issuer
	ClientID   string            `json:"clientId"`  // of an identity that trusts Issuer's default/sa
	User       string            `json:"user"`
	Password   string            `json:"password"`
	Kubeconfig string            `json:"kubeconfig"` // of the cluster
}

const keptUser = "alice@lanyard.localhost"

// TestKeepAStore makes a store with every kind of object in it.
func TestKeepAStore(t *testing.T) {
	if *keep == "" {
		t.Skip("it makes a store only with -keep")
	}
	dir := t.TempDir()
	r := start(t, local(dir))
	k := kept{
		Secrets:  map[string]string{"plain": "the plain value", "long": strings.Repeat("long ", 500), "versions": "the second"},
		Deleted:  map[string]string{"deleted": "the deleted value"},
		User:     keptUser,
		Password: rand.Text(),
	}
	k.fill(t, r)
	r.stop()
	k.plant(t, dir)
	k.write(t, dir)
}

// fill makes what the surfaces make.
func (k *kept) fill(t *testing.T, r *running) {
	t.Helper()
	vault := r.vault("kv-kept")
	set(t, vault, "versions", "the first")
	for name, value := range k.Secrets {
		set(t, vault, name, value)
	}
	for name, value := range k.Deleted {
		set(t, vault, name, value)
		if _, err := vault.DeleteSecret(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.vault("kv-kept-deleted")
	r.arm("DELETE", r.group()+"/providers/Microsoft.KeyVault/vaults/kv-kept-deleted", "2023-07-01", nil, nil)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if k.IssuerKey, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	k.Issuer = "https://kubernetes.default.svc.cluster.local"
	k.ClientID = r.federate("kept", k.Issuer, read(t, r.c.DataDir, "ca.pem")).ClientID
	r.arm("PUT", "/providers/Lanyard.Trust"+model.IssuerKey(k.Issuer), "2026-11-01",
		map[string]any{"properties": map[string]any{"url": k.Issuer, "keys": json.RawMessage(publicKeys(t, key))}}, nil)
	r.arm("PUT", r.group()+"/providers/Microsoft.KeyVault/vaults/kv-kept/providers/Microsoft.Authorization/roleAssignments/6a1c8b9e-0d2f-4c3b-9a75-1e8f4d2b7c60", "2022-04-01",
		map[string]any{"properties": map[string]any{
			"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6",
			"principalId":      r.admin.PrincipalID,
		}}, nil)
	r.arm("POST", "/subscriptions/"+r.admin.SubscriptionID+"/providers/Microsoft.ContainerService/register", "2021-04-01", nil, nil)
	if _, err := r.client.Directory().Call(t.Context(), "POST", "/users", nil, map[string]any{
		"accountEnabled": true, "displayName": "Alice", "mailNickname": "alice", "userPrincipalName": k.User,
		"passwordProfile": map[string]any{"password": k.Password, "forceChangePasswordNextSignIn": false},
	}, nil); err != nil {
		t.Fatal(err)
	}
	if code := r.signInAs(k.User, "not the password"); code == "" {
		t.Fatal("a wrong password was taken")
	}
	if code := r.signInAs(k.User, k.Password); code != "" {
		t.Fatal(code)
	}
}

// plant writes what needs a browser or a cluster.
func (k *kept) plant(t *testing.T, dir string) {
	t.Helper()
	s := unseal(t, dir)
	defer s.Close()
	v, err := s.Store.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.Kubeconfig = `{"server":"https://10.0.0.1:6443"}`
	user, _, _ := store.Get[*model.User](v, model.UserKey(k.User))
	var id *model.Identity
	for e := range v.Prefix("/subscriptions/", "") {
		if found, ok := e.Value.(*model.Identity); ok {
			id = found
		}
	}
	group, _, _ := strings.Cut(id.ID, "/providers/")
	now := time.Now().UTC().Truncate(time.Second)
	later := now.Add(24 * time.Hour)
	cluster := &model.Cluster{
		Resource: model.Resource{ID: group + "/providers/Microsoft.ContainerService/managedClusters/kept", Name: "kept", Location: "local"},
		Server:   "https://10.0.0.1:6443", Version: "1.37.2", Issuer: "https://issuer.example.test", WorkloadIdentity: true,
		Webhook: model.Webhook{Mode: model.WebhookDeployment, Image: "registry.example.test/lanyard:1"},
	}
	if cluster.Kubeconfig, err = s.Sealer.Seal([]byte(k.Kubeconfig), cluster.Key()); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("kept"))
	for _, o := range []model.Object{
		cluster,
		&model.ClusterState{Cluster: cluster.Key(), Endpoint: "endpoint", Status: model.ClusterFailed, Operation: "1f0d0c5a-6a36-4d52-8a0e-3a1b0f7e9c11", Started: now, Ended: now, Error: "it did not answer", Modes: []model.WebhookMode{model.WebhookDeployment}},
		&model.IdentityBinding{Resource: model.Resource{ID: cluster.ID + "/identityBindings/kept", Name: "kept"}, ClusterKey: cluster.Key(), IdentityID: id.ID, ClientID: id.ClientID, PrincipalID: id.PrincipalID},
		&model.SignIns{Owner: user.ObjectID, Failures: 1, Last: now},
		&model.Session{ID: model.TokenID("session"), UserID: user.ObjectID, Stamp: user.Stamp, Method: "pwd", SHA256: digest[:], Created: now, Used: now, Expires: later},
		&model.AuthCode{ID: model.TokenID("code"), UserID: user.ObjectID, Stamp: user.Stamp, ClientID: id.ClientID, Redirect: "http://localhost/", Scope: "openid", Expires: later},
		&model.DeviceCode{ID: model.TokenID("device"), UserCode: "BCDFGHJKL", ClientID: id.ClientID, Scope: "openid", Remote: "127.0.0.1", Expires: later},
		&model.CA{Webhook: true, Certificate: []byte{0x30, 0}, SealedKey: mustSeal(t, s, model.WebhookCAKey)},
	} {
		if v.Get(o.Key()) != nil {
			continue
		}
		if _, err := s.Store.Put(t.Context(), o, 0); err != nil {
			t.Fatalf("%s: %v", o.Kind(), err)
		}
	}
	k.Kinds = kindsIn(t, s.Store)
}

func mustSeal(t *testing.T, b *server.Backend, name string) []byte {
	t.Helper()
	sealed, err := b.Sealer.Seal([]byte("a key"), name)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// unseal opens a stopped server's store; the caller closes it.
func unseal(t *testing.T, dir string) *server.Backend {
	t.Helper()
	b, err := server.OpenBackend(t.Context(), server.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Store.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ks, _, _ := store.Get[*model.Keyset](v, model.KeysetKey)
	if b.Sealer, err = unwrap(t, server.Dir(dir).KeyFile(), ks.Wrapped); err != nil {
		t.Fatal(err)
	}
	return b
}

func kindsIn(t *testing.T, s *store.Store) (kinds []model.Kind) {
	t.Helper()
	v, err := s.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for e := range v.Prefix("/", "") {
		if kind := e.Value.Kind(); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// write puts a stopped server's store, its key and k into the folder.
func (k *kept) write(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(*keep, 0o755); err != nil {
		t.Fatal(err)
	}
	snapshot := filepath.Join(t.TempDir(), "store.db")
	if err := server.Snapshot(t.Context(), server.Config{DataDir: dir}, snapshot); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(*keep, "store.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z, _ := gzip.NewWriterLevel(out, gzip.BestCompression)
	_, err = z.Write(read(t, snapshot))
	if err := errors.Join(err, z.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"seal.key", "admin.json", "ca.pem"} {
		write(t, filepath.Join(*keep, name), string(read(t, dir, name)), 0o644)
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(*keep, "kept.json"), string(b)+"\n", 0o644)
}

// publicKeys is the key set of one key whose id is "kept".
func publicKeys(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "kept",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// assertion is a token of the service account default/sa, signed by the kept key.
func (k *kept) assertion(t *testing.T) string {
	t.Helper()
	parsed, err := x509.ParsePKCS8PrivateKey(k.IssuerKey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": k.Issuer, "sub": "system:serviceaccount:default:sa", "aud": []string{audience}, "iat": now, "nbf": now, "exp": now + 600,
	})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","kid":"kept","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, parsed.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + encode(signature)
}

// signInAs uses the password grant, and gives a refusal's code.
func (r *running) signInAs(user, password string) (code string) {
	r.t.Helper()
	res, err := r.http().PostForm(r.Names().Own().LoginURL()+"/"+r.admin.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"password"}, "client_id": {"04b07795-8ddb-461a-bbee-02f9e1bf7b46"}, "username": {user}, "password": {password},
		"scope": {r.Names().Own().ManagementURL() + "/.default openid offline_access"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		r.t.Fatal(err)
	}
	code, _, _ = strings.Cut(answer.Description, ":")
	return code
}

// TestKeptStores opens the stores that older programs wrote, and uses all that
// is in them.
func TestKeptStores(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testdata/kept/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("there are no kept stores: %v", err)
	}
	var seen []model.Kind
	for _, folder := range folders {
		var k kept
		if err := json.Unmarshal(read(t, folder, "kept.json"), &k); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, k.Kinds...)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			k.use(t, k.open(t, folder))
		})
	}
	for _, kind := range model.Kinds() {
		if !slices.Contains(seen, kind) && !slices.Contains(notKept, kind) {
			t.Errorf("no kept store has a %s: make one with -keep", kind)
		}
	}
}

// notKept are the kinds that are newer than the newest kept store.
var notKept = []model.Kind{"Server", "UniqueName"}

// open gives a data directory with the kept store in it.
func (k *kept) open(t *testing.T, folder string) (dir string) {
	t.Helper()
	in, err := os.Open(filepath.Join(folder, "store.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	db, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := filepath.Join(t.TempDir(), "store.db")
	write(t, snapshot, string(db), 0o600)
	dir = filepath.Join(t.TempDir(), "data")
	if err := server.Restore(t.Context(), dir, snapshot); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"seal.key", "admin.json"} {
		write(t, filepath.Join(dir, name), string(read(t, folder, name)), 0o600)
	}
	b := unseal(t, dir)
	if diff := cmp.Diff(k.Kinds, kindsIn(t, b.Store)); diff != "" {
		t.Errorf("the kinds in the store (-written +read):\n%s", diff)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// Every sealed part is opened here, and sealed again.
	if _, err := server.RotateDataKey(t.Context(), server.Config{DataDir: dir}, nil); err != nil {
		t.Errorf("sealing everything again: %v", err)
	}
	return dir
}

// use asks a server of today for all that is in the store.
func (k *kept) use(t *testing.T, dir string) {
	t.Helper()
	r := start(t, local(dir))
	vault := r.secrets("kv-kept")
	for name := range k.Deleted {
		if _, err := vault.RecoverDeletedSecret(t.Context(), name, nil); err != nil {
			t.Errorf("recovering %s: %v", name, err)
		}
	}
	for _, secrets := range []map[string]string{k.Secrets, k.Deleted} {
		for name, want := range secrets {
			if got := get(t, vault, name); got != want {
				t.Errorf("%s is %.40q, want %.40q", name, got, want)
			}
		}
	}
	if token, code := r.exchange(k.ClientID, k.assertion(t)); token == "" {
		t.Errorf("the workload is refused: %s", code)
	}
	if code := r.signInAs(k.User, k.Password); code != "" {
		t.Errorf("the user is refused: %s", code)
	}
	r.arm("GET", r.group()+"/providers/Microsoft.ContainerService/managedClusters/kept", "2024-09-01", nil, nil)
	r.stop()
	b := unseal(t, dir)
	defer b.Close()
	v, err := b.Store.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for e := range v.Prefix("/subscriptions/", "") {
		if c, ok := e.Value.(*model.Cluster); ok {
			if plain, err := b.Sealer.Open(c.Kubeconfig, c.Key()); err != nil || string(plain) != k.Kubeconfig {
				t.Errorf("the kubeconfig is %q, %v", plain, err)
			}
		}
	}
}
