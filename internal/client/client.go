// Package client is how the command line talks to a running server: over the
// same HTTP APIs that az and the SDKs use, signed in as the admin or as the
// holder of another credentials file. It has no way in of its own.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyard-io/lanyard/internal/names"
)

// Config for New.
type Config struct {
	Names *names.Hosts
	// Roots to trust; nil for the system's.
	Roots *x509.CertPool
	// Dial, if set, is the HOST:PORT that all of the set's names are reached
	// at; empty resolves them, or asks the environment's HTTPS_PROXY.
	Dial           string
	TenantID       string
	SubscriptionID string
	ClientID       string
	ClientSecret   string
}

// Client is signed in as one service principal.
type Client struct {
	at           endpoints
	http         *http.Client
	credential   azcore.TokenCredential
	options      azcore.ClientOptions
	Subscription string // of the resource ids that it is asked for
	Tenant       string
	Azure        bool // Azure itself answers, not a Lanyard server
}

// endpoints are where the APIs are; URLs without a slash at their end.
type endpoints struct {
	login, management, graph string
	vaultResource            string // what tokens for vaults are asked for
	vault                    func(name string) string
}

// timeout of one request, its answer included.
const timeout = 30 * time.Second

// maxAnswer is the most that is read of one answer.
const maxAnswer = 16 << 20

// New makes a client. It asks nothing yet.
func New(c Config) (*Client, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if c.Dial != "" {
				addr = c.Dial
			}
			return dialer.DialContext(ctx, network, addr)
		},
		ForceAttemptHTTP2: true,
	}
	if c.Dial == "" {
		transport.Proxy = http.ProxyFromEnvironment
	}
	hc := &http.Client{Transport: transport, Timeout: timeout}
	options := azcore.ClientOptions{
		Transport: hc,
		Cloud:     cloud.Configuration{ActiveDirectoryAuthorityHost: c.Names.LoginURL() + "/"},
		Retry:     policy.RetryOptions{MaxRetries: -1}, // a person waits: say what is wrong at once
		Telemetry: policy.TelemetryOptions{ApplicationID: "lanyard-cli"},
	}
	credential, err := azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, c.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: true,
			AdditionallyAllowedTenants: []string{"adfs"}, // what a vault's challenge names in adfs mode
		})
	if err != nil {
		return nil, fmt.Errorf("making the credential: %w", err)
	}
	n := c.Names
	return &Client{
		at:   endpoints{n.LoginURL(), n.ManagementURL(), n.GraphURL(), n.VaultResource(), n.VaultURL},
		http: hc, credential: credential, options: options,
		Subscription: c.SubscriptionID, Tenant: c.TenantID,
	}, nil
}

// Secrets is the public SDK's client of one vault.
func (c *Client) Secrets(vault string) (*azsecrets.Client, error) {
	return azsecrets.NewClient(c.at.vault(vault), c.credential, &azsecrets.ClientOptions{ClientOptions: c.options})
}

// Domain is the server's: what users' names end with.
func (c *Client) Domain() string {
	host, _, _ := strings.Cut(strings.TrimPrefix(c.at.login, "https://"), ":")
	return strings.TrimPrefix(host, "login.")
}

// ManagementToken is an access token for the management API.
func (c *Client) ManagementToken(ctx context.Context) (string, error) {
	return c.Token(ctx, c.at.management)
}

// Token gets an access token for any resource, such as api://my-app.
func (c *Client) Token(ctx context.Context, resource string) (string, error) {
	t, err := c.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{resource + "/.default"}})
	return t.Token, err
}

// Error is an answer that is not a success, in ARM's or Key Vault's format.
type Error struct {
	Status  int
	Code    string
	Inner   string // innererror's code, which says more
	Message string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s (HTTP %d)", e.Code, e.Status)
	}
	return e.Message
}

// IsNotFound says whether err is the server's 404.
func IsNotFound(err error) bool { return IsStatus(err, http.StatusNotFound) }

// IsBadRequest says whether err is the server's 400.
func IsBadRequest(err error) bool { return IsStatus(err, http.StatusBadRequest) }

// HasCode says whether err is an answer of the server's with that code.
func HasCode(err error, code string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == code
}

// IsStatus says whether err is an answer of the server's with that status.
func IsStatus(err error, status int) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == status
}

// call is one request: body is JSON or nil.
type call struct {
	method, url, token string
	header             http.Header
	body               any
}

// do returns the answer's status and headers; its body is read into answer.
func (c *Client) do(ctx context.Context, r call, answer any) (*http.Response, error) {
	var sent io.Reader
	if r.body != nil {
		b, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, sent)
	if err != nil {
		return nil, err
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if res.StatusCode >= 300 {
		return nil, parseError(res, b)
	}
	if answer == nil || len(b) == 0 {
		return res, nil
	}
	return res, json.Unmarshal(b, answer)
}

// ParseError words the answer in an error of the SDK's, which has read it already.
func ParseError(res *http.Response) *Error {
	body, err := runtime.Payload(res)
	if err != nil {
		body = nil // the status says enough
	}
	return parseError(res, body)
}

func parseError(res *http.Response, body []byte) *Error {
	e := &Error{Status: res.StatusCode, Code: http.StatusText(res.StatusCode)}
	var doc struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Inner   struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &doc) == nil && doc.Error.Code != "" {
		e.Code, e.Inner, e.Message = doc.Error.Code, doc.Error.Inner.Code, doc.Error.Message
	}
	return e
}
