package server_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

// The CAs for foreign issuers are those that the file has when keys are fetched; a file
// that cannot be read leaves those that it had.
func TestIssuerRootsAreReadAgain(t *testing.T) {
	t.Parallel()
	var issuers [2]*devissuer.Issuer
	for n := range issuers {
		i, err := devissuer.Start()
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		issuers[n] = i
	}
	path := filepath.Join(t.TempDir(), "roots.pem")
	write(t, path, string(issuers[0].CA), 0o600)
	c := local(t.TempDir())
	var log surfacetest.Log
	c.IssuerRoots, c.IssuerMinRefetch, c.Log = path, time.Millisecond, log.Logger()
	r := start(t, c)
	var ids [2]identity
	for n, i := range issuers {
		id := r.group() + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + []string{"one", "two"}[n]
		var made struct{ Properties identity }
		r.arm("PUT", r.group(), "2021-04-01", object{"location": "local"}, nil)
		r.arm("PUT", id, "2023-01-31", object{"location": "local"}, &made)
		r.arm("PUT", id+"/federatedIdentityCredentials/pod", "2023-01-31", object{"properties": object{
			"issuer": i.URL, "subject": "system:serviceaccount:default:sa", "audiences": []string{audience},
		}}, nil)
		ids[n] = made.Properties
	}
	exchange := func(n int) bool {
		t.Helper()
		assertion, err := issuers[n].Token("default", "sa", audience, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		token, _ := r.exchange(ids[n].ClientID, assertion)
		return token != ""
	}
	soon := func(n int) bool { // the least time between two fetches may not be over
		for range 100 {
			if exchange(n) {
				return true
			}
		}
		return false
	}
	if !exchange(0) || exchange(1) {
		t.Fatal("the file as it was at the start does not decide")
	}
	write(t, path, "\ufeff"+strings.ReplaceAll(string(issuers[1].CA), "\n", "\r\n"), 0o600)
	if !soon(1) {
		t.Fatal("the CA that the file has now is not trusted")
	}
	write(t, path, "half", 0o600)
	if err := issuers[1].Rotate(); err != nil { // the next token's key is fetched
		t.Fatal(err)
	}
	if !soon(1) {
		t.Error("what the file had is not kept")
	}
	if !strings.Contains(log.String(), "kept the old CAs for issuers") {
		t.Errorf("the log is %s", log.String())
	}
}
