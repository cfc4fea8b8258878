package arm_test

import (
	"testing"

	"github.com/lanyard-io/lanyard/internal/arm"
)

func bind(identity string) string {
	return `{"properties":{"managedIdentity":{"resourceId":"` + identities + "/" + identity + `"}}}`
}

func TestBindingsShareOneCredentialOfTheLimit(t *testing.T) {
	l := newLab(t, withClusters(t), func(c *arm.Config) { c.MaxCredentials = 1 }).withGroup()
	one, two := newKube(t), newKube(t)
	l.must(201, "PUT", clusters+"/one", attachment(one.config(nil), nil))
	l.must(201, "PUT", clusters+"/two", attachment(two.config(nil), nil))
	l.must(201, "PUT", identities+"/free", east)
	l.must(201, "PUT", identities+"/full", east)
	l.must(201, "PUT", identities+"/full/federatedIdentityCredentials/own", credential("https://a.example", "s"))

	l.must(201, "PUT", clusters+"/one/identityBindings/free?api-version=2026-06-01", bind("free"))
	l.must(201, "PUT", clusters+"/two/identityBindings/free?api-version=2026-06-01", bind("free"))
	if got := len(l.must(200, "GET", identities+"/free/federatedIdentityCredentials", "").values()); got != 1 {
		t.Errorf("%d credentials for two clusters, want 1", got)
	}
	rev := l.rev()
	if a := l.as("admin", "PUT", clusters+"/one/identityBindings/full?api-version=2026-06-01", bind("full")); a.status != 400 {
		t.Errorf("an identity at its limit: %d", a.status)
	}
	if l.rev() != rev {
		t.Error("a refused binding wrote something")
	}

	// A credential of that name that means something else is nobody's to replace.
	l.must(200, "DELETE", identities+"/full/federatedIdentityCredentials/own", "")
	l.must(201, "PUT", identities+"/full/federatedIdentityCredentials/aks-identity-binding", credential("https://a.example", "s"))
	if a := l.as("admin", "PUT", clusters+"/one/identityBindings/full?api-version=2026-06-01", bind("full")); a.status != 409 {
		t.Errorf("a credential in the way: %d", a.status)
	}
}

func TestBindingNeedsTheRightToTheIdentity(t *testing.T) {
	l := newLab(t, withClusters(t)).withGroup()
	k := newKube(t)
	l.must(201, "PUT", clusters+"/one", attachment(k.config(nil), nil))
	l.must(201, "PUT", identities+"/web", east)
	l.grant(clusters+"/one", contributorRole, reader)
	for _, identity := range []string{"web", "missing"} {
		if a := l.as("reader", "PUT", clusters+"/one/identityBindings/b?api-version=2026-06-01", bind(identity)); a.status != 403 {
			t.Errorf("%s: %d, want 403: the cluster's contributor has no right to the identity", identity, a.status)
		}
	}
	l.grant(identities+"/web", contributorRole, reader)
	if a := l.as("reader", "PUT", clusters+"/one/identityBindings/b?api-version=2026-06-01", bind("web")); a.status != 201 {
		t.Errorf("with the right to both: %d", a.status)
	}
}
