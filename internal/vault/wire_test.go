package vault_test

import (
	"testing"

	"github.com/lanyard-io/lanyard/internal/vault"
	"github.com/lanyard-io/lanyard/internal/wiretest"
)

func TestWire(t *testing.T) {
	wiretest.Run(t, newEnv(t).client, "testdata/*.wire", nil)
}

func TestADFSChallenge(t *testing.T) {
	e := newEnv(t, func(c *vault.Config) { c.ChallengeTenant = "adfs" })
	resp, err := e.client.Get(kv1 + "/secrets/x/?" + api)
	must(t, err)
	defer resp.Body.Close()
	got := resp.Header.Values("WWW-Authenticate")
	want := `Bearer authorization="https://login.lanyard.test/adfs", resource="https://vault.lanyard.test"`
	if len(got) != 1 || got[0] != want {
		t.Errorf("challenge = %q, want %q", got, want)
	}
}

func TestNewRefusesHalfAConfig(t *testing.T) {
	if _, err := vault.New(vault.Config{}); err == nil {
		t.Error("New of an empty Config gave no error")
	}
}
