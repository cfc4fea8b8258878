package machine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/imds"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// Config for New.
type Config struct {
	// Server has the identity. Whoever is signed in must be let write issuers and the
	// identity's federated credentials.
	Server          *manage.Client
	Group, Identity string
}

// Machine is one run: an identity, and what makes it usable here.
type Machine struct {
	c          Config
	identity   manage.Identity
	issuer     *imds.Issuer
	authority  *imds.Authority
	credential string
}

// New finds the identity and makes a key. Nothing trusts that yet.
func New(ctx context.Context, c Config) (*Machine, error) {
	found, err := c.Server.Identities(c.Group).Get(ctx, c.Identity)
	if err != nil {
		return nil, err
	}
	name := hostName()
	m := &Machine{c: c, identity: found.Is, credential: "lanyard-imds-" + name}
	// The names say where this is, so that a later run replaces what one that was
	// killed has left; the subject says which run it is.
	where := "https://imds.invalid/" + url.PathEscape(name) + "/" + m.identity.Properties.ClientID
	if m.issuer, err = imds.NewIssuer(where, "lanyard-imds:"+name+":"+rand.Text()); err != nil {
		return nil, err
	}
	m.authority, err = imds.NewAuthority(imds.AuthorityConfig{Host: c.Server.LoginURL(), TenantID: c.Server.Tenant, HTTP: c.Server.HTTP()})
	return m, err
}

// Identity is whose tokens this machine gets.
func (m *Machine) Identity() manage.Identity { return m.identity }

// hostName is the user and host, of characters that a credential's name may have.
func hostName() string {
	name := "user"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "-" + host
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), 80)]
}

func (m *Machine) credentials() manage.Credentials {
	return m.c.Server.Credentials(m.c.Group, m.c.Identity)
}

// Trust makes the server believe what this run signs, for this identity only.
func (m *Machine) Trust(ctx context.Context) error {
	keys, err := m.issuer.JWKS()
	if err != nil {
		return err
	}
	if err := m.c.Server.TrustIssuer(ctx, manage.IssuerProperties{URL: m.issuer.URL, Keys: json.RawMessage(keys)}); err != nil {
		return err
	}
	_, err = m.credentials().Put(ctx, m.credential, manage.Credential{Properties: manage.CredentialProperties{
		Issuer: m.issuer.URL, Subject: m.issuer.Subject, Audiences: []string{wi.Audience},
	}})
	return err
}

// undoTimeout is for taking everything back after the end was asked for.
const undoTimeout = 15 * time.Second

// Distrust takes back what Trust made, also when ctx has ended, unless another run has
// replaced it.
func (m *Machine) Distrust(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	there, found, err := m.credentials().Lookup(ctx, m.credential)
	if err == nil && found {
		if there.Is.Properties.Subject != m.issuer.Subject {
			return nil
		}
		_, err = m.credentials().Remove(ctx, m.credential)
	}
	_, gone := m.c.Server.Issuers().Remove(ctx, m.issuer.URL)
	return fault.WithHint(errors.Join(err, gone), "the key is gone, so what is left is of no use to anybody; the next run replaces it")
}

// Token exchanges a new assertion. There is one identity here: it may be named
// by any of its ids, or not at all.
func (m *Machine) Token(ctx context.Context, q imds.Request) (imds.Token, error) {
	id := m.identity
	for _, pair := range [][2]string{
		{q.ClientID, id.Properties.ClientID}, {q.ObjectID, id.Properties.PrincipalID}, {q.ResourceID, id.ID},
	} {
		if pair[0] != "" && !strings.EqualFold(pair[0], pair[1]) {
			return imds.Token{}, imds.NotFound("This machine is " + id.Name)
		}
	}
	assertion, err := m.issuer.Assertion(wi.Audience, time.Now())
	if err != nil {
		return imds.Token{}, err
	}
	return m.authority.Exchange(ctx, id.Properties.ClientID, q.Resource, assertion)
}

// Variables name the endpoint to clients. Each of them looks at another one: az
// and the SDKs for Python, JavaScript and Java at the first, where it is alone,
// all SDKs at the next two, and what is older at none.
func Variables(base, secret string, secretOnly, oldClients bool) []shell.Variable {
	var vars []shell.Variable
	if !secretOnly {
		vars = append(vars, shell.Variable{Name: wi.PodIdentityEnv, Value: base})
	}
	vars = append(vars, shell.Variable{Name: wi.IdentityEndpointEnv, Value: base + imds.AppServicePath}, shell.Variable{Name: wi.IdentityHeaderEnv, Value: secret})
	if oldClients {
		vars = append(vars, shell.Variable{Name: "HTTP_PROXY", Value: base}, shell.Variable{Name: "http_proxy", Value: base})
	}
	return vars
}
