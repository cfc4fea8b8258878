// Package asadmin is for programs that have a server's files at hand: it signs in as the
// server's admin. The server itself knows nothing of its clients.
package asadmin

import (
	"crypto/x509"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
)

// Config signs in as the admin to the server that has these names and listens at dial;
// empty: where its names lead. Roots are the CAs to trust, nil for the system's.
func Config(a *server.Admin, hosts *names.Hosts, roots *x509.CertPool, dial string) client.Config {
	return client.Config{
		Names: hosts, Roots: roots, Dial: dial, TenantID: a.TenantID, SubscriptionID: a.SubscriptionID,
		ClientID: a.ClientID, ClientSecret: a.ClientSecret,
	}
}
