package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/imds"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/shell"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// imdsFlags are the settings of a machine's own metadata endpoint.
type imdsFlags struct {
	identity, listen, shell string
	target                  target
	secretOnly, oldClients  bool
}

func newIMDSCmd(a *app) *cobra.Command {
	var p imdsFlags
	cmd := &cobra.Command{
		Use:   "imds",
		Short: "Give this machine a managed identity, until stopped",
		Long: `Answer on loopback as Azure's instance metadata service does on a virtual machine,
so that 'az login --identity' and the SDKs' managed identity credentials work here as
one identity. The lines that it prints make a shell's clients use it.

It plays a platform with workload identity: it makes a key, uploads the public part as
an issuer's, lets the identity trust that issuer's word for this run, and exchanges
what it signs. At its end it takes issuer and credential away; access tokens that
were given out live on until they expire. It needs the right to write issuers and the
identity's federated credentials, such as the admin's.

As on a virtual machine, every process on this machine can have the identity's token
while it runs. --header-only serves only those who know the secret in IDENTITY_HEADER.`,
		Example: `  lanyard imds --identity build-agent -g lab
  lanyard imds --identity build-agent --header-only
  az login --identity              # in a shell with the lines that it printed`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.imds(cmd.Context(), &p) },
	}
	f := cmd.Flags()
	f.StringVar(&p.identity, "identity", "", "`name` of the managed identity")
	f.StringVarP(&p.target.group, "resource-group", "g", defaultGroup, "its resource `group`")
	f.StringVar(&p.listen, "listen", "127.0.0.1:7470", "loopback `address`, HOST:PORT")
	f.StringVar(&p.shell, "shell", "sh", "of the lines: sh, fish or powershell")
	f.BoolVar(&p.secretOnly, "header-only", false, "serve only App Service's shape, which needs the secret header")
	f.BoolVar(&p.oldClients, "http-proxy", false, "also print HTTP_PROXY, for clients that know only 169.254.169.254, such as az 2.60")
	if err := cmd.MarkFlagRequired("identity"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// laptop is one run of `lanyard imds`: an identity, and what makes it usable here.
type laptop struct {
	c          *client.Client
	identity   identity
	issuer     *imds.Issuer
	authority  *imds.Authority
	credential string // ARM id
}

func (a *app) imds(ctx context.Context, p *imdsFlags) error {
	syntax, err := shell.SyntaxOf(p.shell)
	if err != nil {
		return err
	}
	if p.secretOnly && p.oldClients {
		return errors.New("clients that need --http-proxy cannot send a header: leave out --header-only")
	}
	host, _, err := net.SplitHostPort(p.listen)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address %q: want HOST:PORT of loopback, because it gives a token to everybody who asks", p.listen)
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.listen)
	if err != nil {
		return fault.WithHint(err, "choose another address with --listen")
	}
	defer ln.Close()
	l, err := newLaptop(ctx, c, p)
	if err != nil {
		return err
	}
	if err := l.trust(ctx); err != nil {
		return errors.Join(err, l.distrust(ctx))
	}
	err = a.serveIMDS(ctx, l, p, ln, syntax.Set)
	return errors.Join(err, l.distrust(ctx))
}

// serveIMDS says how to use the endpoint, and serves it until ctx ends.
func (a *app) serveIMDS(ctx context.Context, l *laptop, p *imdsFlags, ln net.Listener, line func(name, value string) string) error {
	log := obs.NewLogger(a.Err, "text", slog.LevelInfo)
	secret := rand.Text()
	handler, err := imds.New(imds.Config{
		Tokens: imds.NewCache(l.token, time.Now, log).Token, Secret: secret, SecretOnly: p.secretOnly, Log: log,
	})
	if err != nil {
		return err
	}
	for _, v := range p.variables("http://"+ln.Addr().String(), secret) {
		fmt.Fprintln(a.Out, line(v.Name, v.Value))
	}
	a.say("this machine is %s, client id %s, until ctrl-c", l.identity.Name, l.identity.Properties.ClientID)
	return serveAll(ctx, []net.Listener{ln}, handler, log)
}

// variables name the endpoint to clients. Each of them looks at another one: az
// and the SDKs for Python, JavaScript and Java at the first, where it is alone,
// all SDKs at the next two, and what is older at none.
func (p *imdsFlags) variables(base, secret string) []shell.Variable {
	var vars []shell.Variable
	if !p.secretOnly {
		vars = append(vars, shell.Variable{Name: wi.PodIdentityEnv, Value: base})
	}
	vars = append(vars, shell.Variable{Name: wi.IdentityEndpointEnv, Value: base + imds.AppServicePath}, shell.Variable{Name: wi.IdentityHeaderEnv, Value: secret})
	if p.oldClients {
		vars = append(vars, shell.Variable{Name: "HTTP_PROXY", Value: base}, shell.Variable{Name: "http_proxy", Value: base})
	}
	return vars
}

func newLaptop(ctx context.Context, c *client.Client, p *imdsFlags) (*laptop, error) {
	l := &laptop{c: c}
	found, _, err := find[identity](ctx, c, p.target, identityKind(), p.identity)
	if err != nil {
		return nil, err
	}
	l.identity = found.is
	name := machine()
	// The names say where this is, so that a later run replaces what one that was
	// killed has left; the subject says which run it is.
	where := "https://imds.invalid/" + url.PathEscape(name) + "/" + l.identity.Properties.ClientID
	l.credential = l.identity.ID + "/federatedIdentityCredentials/lanyard-imds-" + name
	if l.issuer, err = imds.NewIssuer(where, "lanyard-imds:"+name+":"+rand.Text()); err != nil {
		return nil, err
	}
	l.authority, err = imds.NewAuthority(imds.AuthorityConfig{Host: c.LoginURL(), TenantID: c.Tenant, HTTP: c.HTTP()})
	return l, err
}

// machine is the user and host, of characters that a credential's name may have.
func machine() string {
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

// imdsCredential is the federated credential, as the management API has it.
type imdsCredential struct {
	Properties struct {
		Issuer    string   `json:"issuer"`
		Subject   string   `json:"subject"`
		Audiences []string `json:"audiences"`
	} `json:"properties"`
}

// trust makes the server believe what this run signs, for this identity only.
func (l *laptop) trust(ctx context.Context) error {
	keys, err := l.issuer.JWKS()
	if err != nil {
		return err
	}
	i := issuer{Properties: issuerProperties{URL: l.issuer.URL, Keys: json.RawMessage(keys)}}
	if err := l.c.ARM(ctx, "PUT", issuerID(l.issuer.URL), lanyardVersion, i, nil); err != nil {
		return err
	}
	var f imdsCredential
	f.Properties.Issuer, f.Properties.Subject, f.Properties.Audiences = l.issuer.URL, l.issuer.Subject, []string{wi.Audience}
	return l.c.ARM(ctx, "PUT", l.credential, identityVersion, f, nil)
}

// undoTimeout is for taking everything back after the end was asked for.
const undoTimeout = 15 * time.Second

// distrust takes back what trust made, unless another run has replaced it.
func (l *laptop) distrust(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var f imdsCredential
	err := l.c.ARM(ctx, "GET", l.credential, identityVersion, nil, &f)
	switch {
	case err == nil && f.Properties.Subject != l.issuer.Subject:
		return nil
	case err == nil:
		err = l.c.ARM(ctx, "DELETE", l.credential, identityVersion, nil, nil)
	case client.IsNotFound(err):
		err = nil
	}
	if gone := l.c.ARM(ctx, "DELETE", issuerID(l.issuer.URL), lanyardVersion, nil, nil); !client.IsNotFound(gone) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return fault.WithHint(err, "the key is gone, so what is left is of no use to anybody; the next run replaces it")
	}
	return nil
}

// token exchanges a new assertion. There is one identity here: it may be named
// by any of its ids, or not at all.
func (l *laptop) token(ctx context.Context, q imds.Request) (imds.Token, error) {
	id := l.identity
	for _, pair := range [][2]string{
		{q.ClientID, id.Properties.ClientID}, {q.ObjectID, id.Properties.PrincipalID}, {q.ResourceID, id.ID},
	} {
		if pair[0] != "" && !strings.EqualFold(pair[0], pair[1]) {
			return imds.Token{}, imds.NotFound("This machine is " + id.Name)
		}
	}
	assertion, err := l.issuer.Assertion(wi.Audience, time.Now())
	if err != nil {
		return imds.Token{}, err
	}
	return l.authority.Exchange(ctx, id.Properties.ClientID, q.Resource, assertion)
}
