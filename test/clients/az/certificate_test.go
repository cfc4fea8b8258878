package az_test

import (
	"testing"
)

// TestCertificateLogin signs az in by a certificate that it made itself, alone and
// with its chain, and asks for tokens for every resource that az has a name for.
func TestCertificateLogin(t *testing.T) {
	flags := map[string]string{"az-2.91": "--certificate", "az-2.60": "--password"}
	for name, az := range clis(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, az)
			l.setUp()
			scope := "/subscriptions/" + l.admin().SubscriptionID
			app := l.json("ad", "sp", "create-for-rbac", "--name", "builder", "--create-cert", "--role", "Reader", "--scopes", scope)
			login := []string{
				"login", "--service-principal", "--username", l.text(app, "appId"), "--tenant", l.text(app, "tenant"),
				flags[name], l.text(app, "fileWithCertAndPrivateKey"),
			}
			for who, more := range map[string][]string{"alone": nil, "chain": {"--use-cert-sn-issuer"}} {
				u := l.as(who, func(u *lab) { u.ok(append(login, more...)...) })
				u.is(u.json("account", "show"), "user.name", l.text(app, "appId"))
				for _, kind := range []string{"aad-graph", "arm", "batch", "data-lake", "media", "ms-graph", "oss-rdbms"} {
					u.ok("account", "get-access-token", "--resource-type", kind, "--output", "none")
				}
				for _, resource := range []string{"https://vault.azure.net", "https://management.azure.com/", "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"} {
					u.ok("account", "get-access-token", "--resource", resource, "--output", "none")
				}
			}
		})
	}
}
