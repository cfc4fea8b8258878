package machine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/imds"
	"github.com/lanyard-io/lanyard/internal/imds/machine"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/managetest"
)

// newConfig is an identity on a real server.
func newConfig(t *testing.T) machine.Config {
	t.Helper()
	c := machine.Config{Server: managetest.Start(t, managetest.Config{}), Group: manage.DefaultGroup, Identity: "build"}
	if err := c.Server.EnsureGroup(t.Context(), c.Group, manage.DefaultLocation); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Server.Identities(c.Group).Put(t.Context(), c.Identity, manage.Identity{Location: manage.DefaultLocation}); err != nil {
		t.Fatal(err)
	}
	return c
}

func newMachine(t *testing.T, c machine.Config) *machine.Machine {
	t.Helper()
	m, err := machine.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// left is what runs have made on the server.
func left(t *testing.T, c machine.Config) (credentials, issuers int) {
	t.Helper()
	all, err := c.Server.Credentials(c.Group, c.Identity).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := c.Server.Issuers().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all), len(trusted)
}

func TestMachine(t *testing.T) {
	c := newConfig(t)
	m := newMachine(t, c)
	ask := imds.Request{Resource: c.Server.ManagementURL()}
	if _, err := m.Token(t.Context(), ask); err == nil {
		t.Error("a token before anything trusts this machine")
	}
	if err := m.Trust(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := m.Token(t.Context(), ask)
	if err != nil || got.Value == "" {
		t.Fatalf("no token: %v", err)
	}
	id := m.Identity()
	for name, selector := range map[string]imds.Selector{
		"client-id": {ClientID: strings.ToUpper(id.Properties.ClientID)}, "object-id": {ObjectID: id.Properties.PrincipalID}, "resource-id": {ResourceID: id.ID},
	} {
		if _, err := m.Token(t.Context(), imds.Request{Resource: ask.Resource, Selector: selector}); err != nil {
			t.Errorf("by its %s: %v", name, err)
		}
	}
	other := imds.Request{Resource: ask.Resource, Selector: imds.Selector{ClientID: "0b6f3f6c-5f7e-4d0e-9a55-2f6d3c1f8a10"}}
	if _, err := m.Token(t.Context(), other); err == nil || !strings.Contains(err.Error(), "build") {
		t.Errorf("another identity: %v", err)
	}

	// All is taken back also when the end was asked for; twice is no error.
	ended, stop := context.WithCancel(t.Context())
	stop()
	for range 2 {
		if err := m.Distrust(ended); err != nil {
			t.Fatal(err)
		}
	}
	if credentials, issuers := left(t, c); credentials+issuers != 0 {
		t.Errorf("left are %d credentials and %d issuers", credentials, issuers)
	}
	if _, err := m.Token(t.Context(), ask); err == nil {
		t.Error("a token after everything was taken back")
	}
}

// A run that was killed leaves nothing for long: the next one takes its place, and the
// end of the first does not end the second.
func TestNextRunTakesOver(t *testing.T) {
	c := newConfig(t)
	killed, next := newMachine(t, c), newMachine(t, c)
	for _, m := range []*machine.Machine{killed, next} {
		if err := m.Trust(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if credentials, issuers := left(t, c); credentials != 1 || issuers != 1 {
		t.Errorf("there are %d credentials and %d issuers, want one of each", credentials, issuers)
	}
	ask := imds.Request{Resource: c.Server.ManagementURL()}
	if _, err := killed.Token(t.Context(), ask); err == nil {
		t.Error("the first run's key is still believed")
	}
	if err := killed.Distrust(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Token(t.Context(), ask); err != nil {
		t.Errorf("the first one's end ended the second: %v", err)
	}
}

func TestNoIdentity(t *testing.T) {
	c := newConfig(t)
	c.Identity = "nobody"
	if _, err := machine.New(t.Context(), c); !fault.IsAbsent(err) || fault.Hint(err) == "" {
		t.Errorf("an identity that is not there: %v", err)
	}
}

func TestVariables(t *testing.T) {
	for name, test := range map[string]struct {
		secretOnly, oldClients bool
		want                   string
	}{
		"both-shapes": {false, false, "AZURE_POD_IDENTITY_AUTHORITY_HOST=b IDENTITY_ENDPOINT=b/msi/token IDENTITY_HEADER=s"},
		"header-only": {true, false, "IDENTITY_ENDPOINT=b/msi/token IDENTITY_HEADER=s"},
		"old-clients": {false, true, "AZURE_POD_IDENTITY_AUTHORITY_HOST=b IDENTITY_ENDPOINT=b/msi/token IDENTITY_HEADER=s HTTP_PROXY=b http_proxy=b"},
	} {
		var got []string
		for _, v := range machine.Variables("b", "s", test.secretOnly, test.oldClients) {
			got = append(got, v.Name+"="+v.Value)
		}
		if all := strings.Join(got, " "); all != test.want {
			t.Errorf("%s: %s, want %s", name, all, test.want)
		}
	}
}
