package lanyardtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/asadmin"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// Config for New. The zero value is a server that suits most tests.
type Config struct {
	// Dir keeps the server's data; a second New on the same Dir, after the first
	// test ended, finds it again. Default: a directory that goes with the test.
	Dir string
	// AzureNames also answers for Microsoft's public names, so that code with
	// built-in endpoints works through ProxyURL.
	AzureNames bool
	// ADFS is the mode for clients that run with AZURE_TENANT_ID=adfs.
	ADFS bool
	// IssuerMaxAge is how long an issuer's keys are used before they are read
	// again. Default one second, so that tests see key rotation.
	IssuerMaxAge time.Duration
	// Log receives the server's log. Default: none.
	Log *slog.Logger
}

// Server is a running server. Its methods fail the test that made it when
// something goes wrong.
type Server struct {
	TenantID       string
	SubscriptionID string
	// Admin is the owner of everything.
	Admin Application

	t      testing.TB
	dir    server.Dir
	state  server.State
	names  *names.Hosts
	roots  *x509.CertPool
	manage *manage.Client
}

// Application is a service principal that signs in with a secret.
type Application struct {
	ClientID     string
	ClientSecret string
	PrincipalID  string // its object id, which policies and roles name
}

// New starts a server and stops it when the test ends.
func New(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "lanyard")
	}
	if c.IssuerMaxAge == 0 {
		c.IssuerMaxAge = time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	run, err := server.New(ctx, server.Config{
		DataDir: c.Dir, Listen: "127.0.0.1:0", Proxy: "127.0.0.1:0", Debug: "off",
		AzureNames: c.AzureNames, ADFS: c.ADFS, Log: c.Log,
		IssuerMaxAge: c.IssuerMaxAge, IssuerMinRefetch: min(c.IssuerMaxAge, 200*time.Millisecond),
	})
	if err != nil {
		cancel()
		t.Fatalf("starting lanyard: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- run.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopping lanyard: %v", err)
		}
	})

	s := &Server{t: t, dir: server.Dir(c.Dir), state: run.State(), names: run.Names().Own()}
	if c.AzureNames {
		s.names = run.Names().Azure()
	}
	s.TenantID, s.SubscriptionID = s.state.TenantID, s.state.SubscriptionID
	s.signIn()
	return s
}

func (s *Server) signIn() {
	s.t.Helper()
	var err error
	if s.roots, err = textfile.Roots(s.dir.CA()); err != nil {
		s.t.Fatalf("reading lanyard's CA: %v", err)
	}
	adm, err := server.ReadAdmin(s.dir.AdminFile())
	if err != nil {
		s.t.Fatalf("reading the admin's credentials: %v", err)
	}
	s.Admin = Application{ClientID: adm.ClientID, ClientSecret: adm.ClientSecret, PrincipalID: adm.PrincipalID}
	c, err := client.New(asadmin.Config(adm, s.names, s.roots, s.state.Listen))
	if err != nil {
		s.t.Fatalf("making a client: %v", err)
	}
	s.manage = manage.New(c)
}

// AuthorityURL is the token service, with a trailing slash: AZURE_AUTHORITY_HOST.
func (s *Server) AuthorityURL() string { return s.names.LoginURL() + "/" }

// ManagementURL is Resource Manager's endpoint.
func (s *Server) ManagementURL() string { return s.names.ManagementURL() }

// VaultURL is a vault's endpoint, with a trailing slash.
func (s *Server) VaultURL(vault string) string { return s.names.VaultURL(vault) + "/" }

// CAFile is a PEM file with the server's CA.
func (s *Server) CAFile() string { return s.dir.CA() }

// ProxyURL is a CONNECT proxy through which the server's names are reached.
func (s *Server) ProxyURL() *url.URL { return &url.URL{Scheme: "http", Host: s.state.Proxy} }

// HTTPClient reaches the server's names and trusts its CA. It is an
// azcore Transport. It also serves instance discovery, as the SDKs want it.
func (s *Server) HTTPClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, s.state.Listen)
		},
	}}
}

// ClientOptions points any client of the Azure SDK for Go at the server.
func (s *Server) ClientOptions() azcore.ClientOptions {
	return azcore.ClientOptions{
		Transport: s.HTTPClient(),
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: s.AuthorityURL(),
			Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Audience: s.ManagementURL(), Endpoint: s.ManagementURL()},
			},
		},
	}
}

// Credential signs in as an application, such as Admin, with the Azure SDK for Go.
func (s *Server) Credential(app Application) azcore.TokenCredential {
	s.t.Helper()
	cred, err := azidentity.NewClientSecretCredential(s.TenantID, app.ClientID, app.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: s.ClientOptions()})
	if err != nil {
		s.t.Fatalf("making a credential: %v", err)
	}
	return cred
}
