package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/lanyard-io/lanyard/internal/devissuer"
)

// suite is what all rows share.
type suite struct {
	lanyard, etcd string // programs
	short         bool
	mounts        bool // may be made: they end with this process
	verbose       bool
	sp            *spawner
	dir           string
	labs          int
}

// lab is what one row runs on: etcd's members, or none for the embedded etcd, and
// servers with something in them.
type lab struct {
	*suite
	dir, subnet string
	began       time.Time
	etcd        *etcd // nil: embedded
	nodes       []*node
	issuer      *devissuer.Issuer
	roots       []byte // PEM, in place of the server's own CA
	*tenant
}

// tenant is what the administrator's credentials open.
type tenant struct {
	ID, Subscription, Client, Secret, Principal string
	ca                                          []byte
	arm, vault, graph                           string // access tokens
	group                                       string // path of the resource group
}

// newLab makes a directory and a subnet of loopback for a row. Nothing runs yet.
func (s *suite) newLab() (*lab, error) {
	s.labs++
	l := &lab{suite: s, began: time.Now()}
	l.dir = filepath.Join(s.dir, fmt.Sprintf("lab-%d", s.labs))
	l.subnet = fmt.Sprintf("127.%d.%d", 2+os.Getpid()%250, s.labs%250)
	return l, os.MkdirAll(l.dir, 0o700)
}

// cluster is a lab of three members and two servers, furnished. flags are the servers'.
func (s *suite) cluster(ctx context.Context, flags ...string) (*lab, error) {
	l, err := s.newLab()
	if err != nil {
		return l, err
	}
	return l, l.bring(ctx, nil, flags...)
}

// bring starts three members and two servers, and furnishes them.
func (l *lab) bring(ctx context.Context, etcdFlags []string, flags ...string) (err error) {
	if l.etcd, err = startEtcd(ctx, l.sp, l.suite.etcd, l.dir, l.subnet, etcdFlags...); err != nil {
		return err
	}
	a, b := l.addNode(flags...), l.addNode(flags...)
	if err := a.start(); err != nil {
		return err
	}
	if err := l.copyKey(a, b); err != nil {
		return err
	}
	if err := b.start(); err != nil {
		return err
	}
	return l.furnish(ctx)
}

// single is a lab of one server with its own etcd.
func (s *suite) single(ctx context.Context, flags ...string) (*lab, error) {
	l, err := s.newLab()
	if err != nil {
		return l, err
	}
	if err := l.addNode(flags...).start(); err != nil {
		return l, err
	}
	return l, l.furnish(ctx)
}

// addNode adds a server that can be started.
func (l *lab) addNode(flags ...string) *node {
	i := len(l.nodes)
	host := fmt.Sprintf("%s.%d", l.subnet, 11+i)
	n := &node{
		program: l.lanyard, name: string(rune('A' + i)), dir: filepath.Join(l.dir, fmt.Sprintf("server-%d", i)),
		addr: host + ":7443", debug: host + ":7490", flags: flags, sp: l.sp,
	}
	if l.etcd != nil {
		for _, e := range l.etcd.endpoints() {
			n.flags = append(n.flags, "--etcd-endpoints", e)
		}
	}
	l.nodes = append(l.nodes, n)
	return n
}

// copyKey gives b the key file of a.
func (l *lab) copyKey(a, b *node) error {
	key, err := os.ReadFile(filepath.Join(a.dir, "seal.key"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, "seal.key"), key, 0o600)
}

// other is a server that is not n, or n itself when it is alone.
func (l *lab) other(n *node) *node {
	for _, o := range l.nodes {
		if o != n {
			return o
		}
	}
	return n
}

func (l *lab) close() {
	for _, n := range l.nodes {
		n.p.kill()
	}
	if l.etcd != nil {
		l.etcd.close()
	}
	if l.issuer != nil {
		l.issuer.Close()
	}
	os.RemoveAll(l.dir)
}

const (
	domain    = "lanyard.localhost"
	loginURL  = "https://login." + domain
	armURL    = "https://management." + domain
	graphURL  = "https://graph." + domain
	vaultName = "kv-faults" // with access policies: the administrator may all
	rolesName = "kv-roles"  // with roles
	audience  = "api://AzureADTokenExchange"
)

func vaultURL(name string) string { return "https://" + name + ".vault." + domain }

// readAdmin reads what the first start wrote.
func (l *lab) readAdmin() error {
	dir := l.nodes[0].dir
	b, err := os.ReadFile(filepath.Join(dir, "admin.json"))
	if err != nil {
		return err
	}
	var a struct{ TenantID, SubscriptionID, ClientID, ClientSecret, PrincipalID string }
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	l.tenant = &tenant{ID: a.TenantID, Subscription: a.SubscriptionID, Client: a.ClientID, Secret: a.ClientSecret, Principal: a.PrincipalID}
	l.group = armURL + "/subscriptions/" + a.SubscriptionID + "/resourceGroups/faults"
	if l.ca = l.roots; l.ca == nil {
		if l.ca, err = os.ReadFile(filepath.Join(dir, "ca.pem")); err != nil {
			return err
		}
	}
	for _, n := range l.nodes {
		n.trust(l.ca)
	}
	return nil
}

// furnish signs in and makes the group, the vaults and the issuer.
func (l *lab) furnish(ctx context.Context) (err error) {
	if err := l.readAdmin(); err != nil {
		return err
	}
	if l.issuer, err = devissuer.Start(); err != nil {
		return err
	}
	if err := l.signIn(ctx, l.nodes[0].http); err != nil {
		return err
	}
	vault := func(roles bool) any {
		var policies []any
		if !roles {
			policies = append(policies, policy(l.ID, l.Principal, "all"))
		}
		return map[string]any{"location": "local", "properties": map[string]any{
			"tenantId": l.ID, "sku": map[string]string{"family": "A", "name": "standard"},
			"enableRbacAuthorization": roles, "accessPolicies": policies,
		}}
	}
	for _, put := range []struct {
		url  string
		body any
	}{
		{l.group + "?api-version=2021-04-01", location},
		{l.vaultPath(vaultName) + "?api-version=2023-07-01", vault(false)},
		{l.vaultPath(rolesName) + "?api-version=2023-07-01", vault(true)},
		{l.assignment(l.vaultPath(rolesName), uuid()), l.assign(roleSecretsOfficer, l.Principal)},
		{armURL + "/providers/Lanyard.Trust" + issuerKey(l.issuer.URL) + "?api-version=2026-11-01",
			map[string]any{"properties": map[string]any{"url": l.issuer.URL, "roots": string(l.issuer.CA)}}},
	} {
		if err := l.put(ctx, put.url, put.body, nil); err != nil {
			return fmt.Errorf("furnishing %s: %w", put.url, err)
		}
	}
	return nil
}

var location = map[string]any{"location": "local"}

// signIn gets the administrator's tokens.
func (l *lab) signIn(ctx context.Context, c *http.Client) error {
	for _, t := range []struct {
		token *string
		scope string
	}{{&l.arm, armURL}, {&l.vault, "https://vault." + domain}, {&l.graph, graphURL}} {
		var got struct {
			AccessToken string `json:"access_token"`
		}
		if err := l.secretForm(t.scope).send(ctx, c).in(&got); err != nil {
			return fmt.Errorf("signing in: %w", err)
		}
		*t.token = got.AccessToken
	}
	return nil
}

// put makes something through the first server.
func (l *lab) put(ctx context.Context, url string, body, dst any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	a := request{method: "PUT", url: url, token: l.arm, body: string(b)}.send(ctx, l.nodes[0].http)
	if dst == nil {
		dst = new(any)
	}
	return a.in(dst)
}

// healthy says what /readyz of a server answers.
func (n *node) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.debug+"/readyz", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode == http.StatusOK
}
