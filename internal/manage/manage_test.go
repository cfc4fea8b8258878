package manage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/managetest"
	"github.com/lanyard-io/lanyard/internal/wi"
)

func must[T any](got T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
}

// wantError wants an error with these words and this hint.
func wantError(t *testing.T, err error, words, hint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(fault.Hint(err), hint) {
		t.Errorf("got %v, hint %q; want %q, hint %q", err, fault.Hint(err), words, hint)
	}
}

func TestManage(t *testing.T) {
	c := managetest.Start(t, managetest.Config{})
	for _, group := range []string{"lab", "other"} {
		must(c.Groups().Put(t.Context(), group, manage.Group{Location: "local"}))(t)
	}
	for name, test := range map[string]func(*testing.T, *manage.Client){
		"groups": testGroups, "races": testRaces, "missing": testMissing, "credentials": testCredentials, "vaults": testVaults,
		"policies": testPolicies, "roles": testRoles, "applications": testApplications, "users": testUsers,
		"issuers": testIssuers, "secrets": testSecrets, "trust": testTrust, "decisions": testDecisions,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func testGroups(t *testing.T, c *manage.Client) {
	if err := c.CheckSubscription(t.Context()); err != nil {
		t.Error(err)
	}
	wantError(t, c.EnsureGroup(t.Context(), "nowhere", "local"), `no resource group "nowhere"`, "lanyard group create nowhere")
	for range 2 {
		if err := c.EnsureGroup(t.Context(), manage.DefaultGroup, "here"); err != nil {
			t.Fatal(err)
		}
	}
	if g := must(c.Groups().Get(t.Context(), manage.DefaultGroup))(t); g.Is.Location != "here" || len(g.All) == 0 {
		t.Errorf("the default group is %+v", g)
	}
	must(c.Groups().Put(t.Context(), "full", manage.Group{Location: "local"}))(t)
	must(c.Identities("full").Put(t.Context(), "who", manage.Identity{Location: "local"}))(t)
	if in := must(c.Contents(t.Context(), "full"))(t); len(in) != 1 || in[0].Name != "who" || in[0].Noun() != "identity" {
		t.Errorf("the group holds %+v", in)
	}
}

func testRaces(t *testing.T, c *manage.Client) {
	var work errgroup.Group
	var made atomic.Int32
	for i := range 8 {
		work.Go(func() error {
			want := manage.Group{Location: "local", Tags: map[string]string{"by": fmt.Sprint(i)}}
			got, first, err := c.Groups().Create(t.Context(), "raced", want)
			if first {
				made.Add(1)
			}
			if err == nil && (got.Is.Tags["by"] == "" || first && got.Is.Tags["by"] != fmt.Sprint(i)) {
				err = fmt.Errorf("it was given %v", got.Is)
			}
			return err
		})
	}
	if err := work.Wait(); err != nil || made.Load() != 1 {
		t.Errorf("made %d times: %v", made.Load(), err)
	}
	for i := range 8 {
		work.Go(func() error {
			_, err := c.Groups().Change(t.Context(), "raced", func(old *manage.Group) (any, error) {
				old.Tags[fmt.Sprint("tag", i)] = "x"
				return manage.Group{Location: old.Location, Tags: old.Tags}, nil
			})
			return err
		})
	}
	if err := work.Wait(); err != nil {
		t.Error(err)
	}
	if now := must(c.Groups().Get(t.Context(), "raced"))(t); len(now.Is.Tags) != 9 {
		t.Errorf("changes were lost: %v", now.Is.Tags)
	}
	stop := errors.New("stop")
	if _, err := c.Groups().Change(t.Context(), "none", func(old *manage.Group) (any, error) {
		if old != nil {
			t.Errorf("there is %v", old)
		}
		return nil, stop
	}); !errors.Is(err, stop) {
		t.Errorf("the change went on: %v", err)
	}
	if err := c.Groups().Delete(t.Context(), "raced"); err != nil {
		t.Error(err)
	}
	if err := c.Groups().Delete(t.Context(), "raced"); !fault.IsAbsent(err) {
		t.Errorf("the group was deleted twice: %v", err)
	}
}

func testMissing(t *testing.T, c *manage.Client) {
	must(c.Identities("other").Put(t.Context(), "elsewhere", manage.Identity{Location: "local"}))(t)
	get := func(group, name string) error { _, err := c.Identities(group).Get(t.Context(), name); return err }
	wantError(t, get("lab", "elsewhere"), `no identity "elsewhere" in resource group lab`, "-g other")
	wantError(t, get("lab", "nobody"), `no identity "nobody"`, "lanyard identity list")
	wantError(t, get("nowhere", "nobody"), `no resource group "nowhere"`, "lanyard group create")
	wantError(t, c.Vaults("lab").Delete(t.Context(), "kv-none"), `no vault "kv-none"`, "lanyard vault list")
	_, err := c.Clusters("nowhere").List(t.Context())
	wantError(t, err, `no resource group "nowhere"`, "")
	_, err = c.Credentials("lab", "nobody").Get(t.Context(), "x")
	wantError(t, err, `no identity "nobody"`, "")
	_, err = c.Credentials("other", "elsewhere").Get(t.Context(), "x")
	wantError(t, err, `no federated credential "x" of the identity elsewhere`, "lanyard credential list --identity elsewhere -g other")
	_, err = c.Bindings("lab", "nowhere").List(t.Context())
	wantError(t, err, `no cluster "nowhere"`, "lanyard cluster list")
	if _, found, err := c.Identities("lab").Lookup(t.Context(), "nobody"); found || err != nil {
		t.Errorf("found %t: %v", found, err)
	}
	must(c.Groups().Put(t.Context(), "empty", manage.Group{Location: "local"}))(t)
	if all := must(c.Identities("empty").List(t.Context()))(t); all == nil || len(all) != 0 {
		t.Errorf("an empty list is %#v", all)
	}
	if all := must(c.Identities("").List(t.Context()))(t); !slices.ContainsFunc(all, func(i manage.Whole[manage.Identity]) bool { return i.Is.Name == "elsewhere" }) {
		t.Errorf("the subscription has %v", all)
	}
}

func testCredentials(t *testing.T, c *manage.Client) {
	must(c.Identities("lab").Put(t.Context(), "trusting", manage.Identity{Location: "local"}))(t)
	app := must(c.CreateApp(t.Context(), manage.NewApp{Name: "trusting"}))(t)
	wantError(t, func() error { _, err := c.AppCredentials(app.AppID).Get(t.Context(), "x"); return err }(),
		`no federated credential "x" of the application`, "lanyard credential list --app "+app.AppID)
	for name, all := range map[string]manage.Credentials{"identity": c.Credentials("lab", "trusting"), "application": c.AppCredentials(app.AppID)} {
		t.Run(name, func(t *testing.T) {
			want := manage.CredentialProperties{Issuer: "https://one.example.org/", Subject: "a", Audiences: []string{wi.Audience}}
			for _, first := range []bool{true, false} {
				got, made, err := all.Create(t.Context(), "one", want)
				if err != nil || made != first || got.Is.Name != "one" || got.Is.Properties.Subject != "a" {
					t.Errorf("made %t, want %t: %+v, %v", made, first, got.Is, err)
				}
				want.Subject = "b"
			}
			match := "claims['sub'] matches 'x*'"
			got := must(all.Update(t.Context(), "one", manage.CredentialChange{Match: &match}))(t)
			if p := got.Is.Properties; p.Subject != "" || p.Expression == nil || p.Expression.Value != match || p.Issuer != want.Issuer {
				t.Errorf("after the update: %+v", p)
			}
			if _, err := all.Update(t.Context(), "two", manage.CredentialChange{Match: &match}); !fault.IsAbsent(err) {
				t.Errorf("updated what is not there: %v", err)
			}
			if list := must(all.List(t.Context()))(t); len(list) != 1 || list[0].Is.Name != "one" {
				t.Errorf("the list is %+v", list)
			}
			if err := all.Delete(t.Context(), "one"); err != nil {
				t.Error(err)
			}
			if err := all.Delete(t.Context(), "one"); !fault.IsAbsent(err) {
				t.Errorf("deleted twice: %v", err)
			}
		})
	}
}

func testIssuers(t *testing.T, c *manage.Client) {
	cluster := must(devissuer.Start())(t)
	t.Cleanup(func() { cluster.Close() })
	if err := c.TrustIssuer(t.Context(), manage.IssuerProperties{URL: cluster.URL, Roots: string(cluster.CA)}); err != nil {
		t.Fatal(err)
	}
	var discovered json.RawMessage
	_, err := c.SetIssuer(t.Context(), "https://new.example.org/", manage.IssuerChange{Keys: &discovered})
	wantError(t, err, "would leave no setting", "lanyard issuer delete https://new.example.org/")
	if got := must(c.SetIssuer(t.Context(), cluster.URL, manage.IssuerChange{Keys: &discovered}))(t); got.Is.Properties.Roots == "" {
		t.Error("the CA did not stay")
	}
	if err := c.Issuers().Delete(t.Context(), cluster.URL); err != nil {
		t.Error(err)
	}
	wantError(t, c.Issuers().Delete(t.Context(), cluster.URL), "has no settings", "lanyard issuer list")
}

func testTrust(t *testing.T, c *manage.Client) {
	before := must(c.SigningKeys(t.Context()))(t)
	after := must(c.RotateKeys(t.Context()))(t)
	if len(before) == 0 || len(after) <= len(before) {
		t.Errorf("%d keys became %d", len(before), len(after))
	}
}

// A refused token request names a client id only; whoever asks knows the name.
func testDecisions(t *testing.T, c *manage.Client) {
	id := must(c.Identities("lab").Put(t.Context(), "watched", manage.Identity{Location: "local"}))(t)
	app := must(c.CreateApp(t.Context(), manage.NewApp{Name: "Nightly Build"}))(t)
	for _, client := range []string{id.Is.Properties.ClientID, app.AppID} {
		answer, err := c.HTTP().PostForm(c.LoginURL()+"/"+c.Tenant+"/oauth2/v2.0/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {"not-the-secret"}, "scope": {c.ManagementURL() + "/.default"},
		})
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	for name, client := range map[string]string{"WATCHED": id.Is.Properties.ClientID, "nightly build": app.AppID, id.Is.Properties.ClientID: id.Is.Properties.ClientID} {
		found := must(c.Decisions(t.Context(), audit.Query{Identities: []string{name}, Refused: true}))(t).Value
		if len(found) != 1 || found[0].Exchange == nil || found[0].Exchange.ClientID != client {
			t.Errorf("of %s there are %+v, want the refusal of %s", name, found, client)
		}
	}
	if found := must(c.Decisions(t.Context(), audit.Query{Identities: []string{"never-named"}}))(t).Value; found == nil || len(found) != 0 {
		t.Errorf("of a name that nobody has there are %#v", found)
	}
}
