package client_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/server"
)

// start runs a server until the test ends; the configuration signs in as its admin.
func start(t *testing.T) client.Config {
	t.Helper()
	dir := server.Dir(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Config{DataDir: string(dir), Listen: "127.0.0.1:0", Proxy: "off", Debug: "off"})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	admin, err := server.ReadAdmin(dir.AdminFile())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(dir.CA())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return client.Config{
		Names: s.Names().Own(), Roots: roots, Dial: s.State().Listen, TenantID: admin.TenantID,
		SubscriptionID: admin.SubscriptionID, ClientID: admin.ClientID, ClientSecret: admin.ClientSecret,
	}
}

func connect(t *testing.T, c client.Config) *client.Client {
	t.Helper()
	got, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestClient(t *testing.T) {
	config := start(t)
	c := connect(t, config)
	group := "/subscriptions/" + c.Subscription + "/resourceGroups/"

	t.Run("list-follows-pages", func(t *testing.T) {
		const all = 1001 // a page has at most 1000
		var work errgroup.Group
		work.SetLimit(16)
		for i := range all {
			work.Go(func() error {
				return c.ARM(t.Context(), "PUT", fmt.Sprintf("%sgroup-%04d", group, i), "2021-04-01", map[string]string{"location": "local"}, nil)
			})
		}
		if err := work.Wait(); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		each := func(raw json.RawMessage) error {
			var g struct{ Name string }
			err := json.Unmarshal(raw, &g)
			seen[g.Name] = true
			return err
		}
		if err := c.List(t.Context(), strings.TrimSuffix(group, "/"), "2021-04-01", each); err != nil {
			t.Fatal(err)
		}
		if len(seen) != all {
			t.Errorf("the list has %d groups, want %d", len(seen), all)
		}
		stop := errors.New("enough")
		n := 0
		err := c.List(t.Context(), strings.TrimSuffix(group, "/"), "2021-04-01", func(json.RawMessage) error { n++; return stop })
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("after an error it went on to item %d: %v", n, err)
		}
	})

	t.Run("errors", func(t *testing.T) {
		err := c.ARM(t.Context(), "GET", group+"nowhere", "2021-04-01", nil, nil)
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !client.IsNotFound(err) || e.Code != "ResourceGroupNotFound" || !strings.Contains(err.Error(), "'nowhere'") {
			t.Errorf("a missing group: %#v", err)
		}
		err = c.ARM(t.Context(), "PUT", group+"x", "1999-01-01", map[string]string{}, nil)
		if err == nil || client.IsNotFound(err) {
			t.Errorf("an unknown version: %v", err)
		}
		vault, err := c.Secrets("kv-none")
		if err != nil {
			t.Fatal(err)
		}
		_, err = vault.GetSecret(t.Context(), "x", "", nil)
		answer, ok := errors.AsType[*azcore.ResponseError](err)
		if !ok {
			t.Fatalf("%T: %v", err, err)
		}
		if e := client.ParseError(answer.RawResponse); e.Status != 404 || e.Code != "VaultNotFound" || !strings.Contains(e.Message, "kv-none") {
			t.Errorf("a missing vault: %+v", e)
		}
	})

	t.Run("refused", func(t *testing.T) {
		wrong := config
		wrong.ClientSecret = "not-the-secret"
		err := connect(t, wrong).ARM(t.Context(), "GET", group+"x", "2021-04-01", nil, nil)
		if err == nil || !strings.Contains(err.Error(), "AADSTS7000215") || strings.Contains(err.Error(), wrong.ClientSecret) {
			t.Errorf("a wrong secret: %v", err)
		}
		distrusting := config
		distrusting.Roots = x509.NewCertPool()
		if err := connect(t, distrusting).ARM(t.Context(), "GET", group+"x", "2021-04-01", nil, nil); err == nil || !strings.Contains(err.Error(), "x509") {
			t.Errorf("an unknown CA: %v", err)
		}
	})

	t.Run("create-changes-nothing", func(t *testing.T) {
		id := group + "raced"
		var work errgroup.Group
		var made atomic.Int32
		for i := range 8 {
			work.Go(func() error {
				var got struct{ Tags map[string]string }
				body := map[string]any{"location": "local", "tags": map[string]string{"by": fmt.Sprint(i)}}
				first, err := c.Create(t.Context(), id, "2021-04-01", body, &got)
				if first {
					made.Add(1)
				}
				if err == nil && (got.Tags["by"] == "" || first && got.Tags["by"] != fmt.Sprint(i)) {
					err = fmt.Errorf("it was given %v", got)
				}
				return err
			})
		}
		if err := work.Wait(); err != nil || made.Load() != 1 {
			t.Errorf("made %d times: %v", made.Load(), err)
		}
	})

	t.Run("changes-at-once-all-count", func(t *testing.T) {
		id := group + "raced"
		type body struct {
			Location string            `json:"location"`
			Tags     map[string]string `json:"tags"`
		}
		var work errgroup.Group
		for i := range 8 {
			work.Go(func() error {
				return client.Again(func() error {
					var old body
					etag, err := c.Read(t.Context(), id, "2021-04-01", &old)
					if err != nil {
						return err
					}
					old.Tags[fmt.Sprint("tag", i)] = "x"
					return c.PutIf(t.Context(), id, "2021-04-01", etag, old, nil)
				})
			})
		}
		var now body
		if err := errors.Join(work.Wait(), c.ARM(t.Context(), "GET", id, "2021-04-01", nil, &now)); err != nil || len(now.Tags) != 9 {
			t.Errorf("tags %v: %v", now.Tags, err)
		}
	})

	t.Run("delete-says-what-was-there", func(t *testing.T) {
		for _, want := range []bool{true, false} {
			found, err := c.Delete(t.Context(), group+"raced", "2021-04-01")
			if found != want || err != nil {
				t.Errorf("found %t, want %t: %v", found, want, err)
			}
		}
	})
}
