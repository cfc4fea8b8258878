package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/peers"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/store/storetest"
)

// replicas are two servers on one etcd, the second with a copy of the key file.
func replicas(t *testing.T) (a, b *running) {
	t.Helper()
	endpoint := storetest.External(t)
	on := func(dir string) *running {
		c := local(dir)
		c.Etcd.Endpoints = []string{endpoint}
		return start(t, c)
	}
	dirs := [2]string{t.TempDir(), t.TempDir()}
	a = on(dirs[0])
	write(t, server.Dir(dirs[1]).KeyFile(), string(read(t, dirs[0], "seal.key")), 0o600)
	b = on(dirs[1])
	if b.client != nil {
		t.Fatal("the second server made an admin of its own")
	}
	b.signIn(server.Dir(dirs[0]).AdminFile())
	return a, b
}

func TestReplicas(t *testing.T) {
	t.Parallel()
	a, b := replicas(t)
	if string(read(t, a.c.DataDir, "ca.pem")) != string(read(t, b.c.DataDir, "ca.pem")) {
		t.Error("the replicas have different CAs")
	}
	issuer, err := devissuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close()
	assertion, err := issuer.Token("default", "sa", audience, time.Now())
	if err != nil {
		t.Fatal(err)
	}

	t.Run("a-secret-is-read-at-once", func(t *testing.T) {
		onA := a.vault("kv-shared")
		onB := b.secrets("kv-shared")
		for i := range 100 {
			want := fmt.Sprintf("value %d", i)
			from, to := onA, onB
			if i%2 == 1 {
				from, to = onB, onA
			}
			set(t, from, "counter", want)
			if got := get(t, to, "counter"); got != want {
				t.Fatalf("write %d: the other replica reads %q", i, got)
			}
		}
	})

	t.Run("a-credential-works-at-once", func(t *testing.T) {
		for i := range 20 {
			from, to := a, b
			if i%2 == 1 {
				from, to = b, a
			}
			id := from.federate(fmt.Sprintf("workload-%d", i), issuer.URL, issuer.CA)
			if _, code := to.exchange(id.ClientID, assertion); code != "" {
				t.Fatalf("credential %d: %s", i, code)
			}
		}
	})

	t.Run("a-deleted-identity-gets-nothing", func(t *testing.T) {
		id := a.federate("going", issuer.URL, issuer.CA)
		for _, r := range []*running{a, b} {
			if _, code := r.exchange(id.ClientID, assertion); code != "" {
				t.Fatal(code)
			}
		}
		b.arm("DELETE", id.id, "2023-01-31", nil, nil)
		if token, code := b.exchange(id.ClientID, assertion); token != "" || code != "AADSTS700016" {
			t.Errorf("the replica that deleted it: want AADSTS700016, got %q", code)
		}
		// An exchange asks nobody: the other one knows when its View does.
		began := time.Now()
		for {
			_, code := a.exchange(id.ClientID, assertion)
			if code == "AADSTS700016" {
				break
			}
			if code != "" || time.Since(began) > 10*time.Second {
				t.Fatalf("the other replica, after %s: want AADSTS700016, got %q", time.Since(began), code)
			}
		}
	})

	t.Run("rotated-keys-are-known-to-all", func(t *testing.T) {
		before, err := a.client.ManagementToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a.arm("POST", "/providers/Lanyard.Trust/signingKeys/rotate", "2026-11-01", nil, nil)
		a.signIn(server.Dir(a.c.DataDir).AdminFile()) // a client without tokens
		after, err := a.client.ManagementToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, token := range map[string]string{"before": before, "after": after} {
			for replica, r := range map[string]*running{"a": a, "b": b} {
				if status, _, body := r.fetch(r.Names().Own().ManagementURL()+"/subscriptions?api-version=2022-12-01", token); status != 200 {
					t.Errorf("replica %s, token from %s the rotation: status %d: %s", replica, name, status, body)
				}
			}
		}
	})
}

// A second server without the key file must not make one of its own.
func TestReplicaWithoutKeyFile(t *testing.T) {
	t.Parallel()
	endpoint := storetest.External(t)
	c := local(t.TempDir())
	c.Etcd.Endpoints = []string{endpoint}
	start(t, c)
	c.DataDir = t.TempDir()
	s, err := server.New(t.Context(), c)
	if err == nil {
		s.Close()
		t.Fatal("it started")
	}
	if found, _ := filepath.Glob(filepath.Join(c.DataDir, "*")); len(found) > 0 {
		t.Errorf("it left %v", found)
	}
}

// Whichever server is asked gives the records of all, and says who is missing.
func TestRecordsOfEveryServer(t *testing.T) {
	t.Parallel()
	a, b := replicas(t)
	_, code := b.exchange("6b8f8c3e-9a3a-4a52-9f5e-0c9a6c0f2a11", "e30.e30.AAAA")
	if code == "" {
		t.Fatal("the exchange was not refused")
	}
	list := func(r *running, query string) (answer audit.Answer) {
		t.Helper()
		r.arm("GET", "/providers/Lanyard.Trust/decisions"+query, "2026-11-01", nil, &answer)
		return answer
	}
	// Each server makes itself known when it runs, which may be a moment later.
	var answer audit.Answer
	for range 200 {
		if answer = list(a, "?refused=true&limit=1"); len(answer.Servers) == 2 {
			break
		}
	}
	if len(answer.Value) != 1 || answer.Value[0].Code != code || answer.Value[0].Server != answer.Servers[1].Name || answer.Servers[0].Name == answer.Servers[1].Name {
		t.Fatalf("the newest refusal of all is %+v", answer)
	}
	byID := list(a, "/"+answer.Value[0].ID)
	if len(byID.Value) != 1 || byID.Value[0].Code != code {
		t.Errorf("by its id it is %+v", byID)
	}
	// Who is asked by a server asks nobody.
	token, err := a.client.ManagementToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", a.Names().Own().ManagementURL()+"/providers/Lanyard.Trust/decisions?api-version=2026-11-01", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set(peers.Header, "1")
	res, err := a.http().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var own audit.Answer
	if err := json.NewDecoder(res.Body).Decode(&own); err != nil || len(own.Servers) != 1 || len(own.Value) == 0 {
		t.Errorf("asked by a server: %+v, %v", own.Servers, err)
	}
	// The record of a server that is cut off is missing, in words; one that was stopped is not asked.
	b.stop()
	if answer = list(a, "?limit=1"); len(answer.Servers) != 1 {
		t.Errorf("after the other one was stopped %+v are asked", answer.Servers)
	}
}
