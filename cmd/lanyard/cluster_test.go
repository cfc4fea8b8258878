package main

import (
	"testing"

	"github.com/lanyard-io/lanyard/internal/manage"
)

func TestClusterTableSaysWhatIsAccepted(t *testing.T) {
	const end = "2026-12-24T00:00:00.0000000Z"
	for _, c := range []struct {
		enabled              bool
		attention, ends, bad string
		want                 string
	}{
		{false, "", "", "", "no"},
		{false, "it ends", end, "", "no"},
		{true, "", "", "", "yes"},
		{true, "", end, "", "yes"},
		{true, "it ends", end, "", "yes, until " + end},
		{true, "its tokens are refused", end, "it answers 401", "no: its keys cannot be read"},
	} {
		var k manage.Cluster
		k.Properties.OIDC.Enabled = c.enabled
		a := &k.Properties.Attachment
		a.Attention, a.CredentialEnds, a.KeysError = c.attention, c.ends, c.bad
		if got := clusters().table(k).Rows[0][4]; got != c.want {
			t.Errorf("%+v: ACCEPTED %q, want %q", c, got, c.want)
		}
	}
}
