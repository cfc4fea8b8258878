package client_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/manage/managetest"
)

// start runs a server until the test ends; the configuration signs in as its admin.
func start(t *testing.T) client.Config {
	t.Helper()
	return managetest.Run(t, managetest.Config{})
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
	groups := c.ResourceManager("2021-04-01")

	t.Run("list-follows-pages", func(t *testing.T) {
		const all = 1001 // a page has at most 1000
		var work errgroup.Group
		work.SetLimit(16)
		for i := range all {
			work.Go(func() error {
				_, err := groups.Call(t.Context(), "PUT", fmt.Sprintf("%sgroup-%04d", group, i), nil, map[string]string{"location": "local"}, nil)
				return err
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
		if err := groups.Pages(t.Context(), strings.TrimSuffix(group, "/"), each); err != nil {
			t.Fatal(err)
		}
		if len(seen) != all {
			t.Errorf("the list has %d groups, want %d", len(seen), all)
		}
		stop := errors.New("enough")
		n := 0
		err := groups.Pages(t.Context(), strings.TrimSuffix(group, "/"), func(json.RawMessage) error { n++; return stop })
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("after an error it went on to item %d: %v", n, err)
		}
	})

	t.Run("errors", func(t *testing.T) {
		_, err := groups.Call(t.Context(), "GET", group+"nowhere", nil, nil, nil)
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !client.IsNotFound(err) || e.Code != "ResourceGroupNotFound" || !strings.Contains(err.Error(), "'nowhere'") {
			t.Errorf("a missing group: %#v", err)
		}
		_, err = c.ResourceManager("1999-01-01").Call(t.Context(), "PUT", group+"x", nil, map[string]string{}, nil)
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
		_, err := connect(t, wrong).ResourceManager("2021-04-01").Call(t.Context(), "GET", group+"x", nil, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "AADSTS7000215") || strings.Contains(err.Error(), wrong.ClientSecret) {
			t.Errorf("a wrong secret: %v", err)
		}
		distrusting := config
		distrusting.Roots = x509.NewCertPool()
		if _, err := connect(t, distrusting).ResourceManager("2021-04-01").Call(t.Context(), "GET", group+"x", nil, nil, nil); err == nil || !strings.Contains(err.Error(), "x509") {
			t.Errorf("an unknown CA: %v", err)
		}
	})
}
