package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/manage/asadmin"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/textfile"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// Config for Run.
type Config struct {
	Out   io.Writer
	Color bool // mark what worked and what was refused with colour
	// Workload is the command that runs the sample workload once, with nothing
	// but a pod's environment.
	Workload []string
}

const (
	account      = "workload-identity-sa"
	group        = "demo"
	identityName = "workshop-Identity"
	vaultName    = "kv-demo"
	secretName   = "mysecret"
	secretText   = `LevelUp Lab Secret\!`
)

// How often the demo's server reads issuer keys again. The default is minutes;
// here a withdrawn key must be seen to die while somebody watches.
const (
	keysMaxAge     = time.Second
	keysMinRefetch = 200 * time.Millisecond
)

// demo is one run.
type demo struct {
	Config
	step    int
	dir     string // everything is in here
	server  *server.Server
	manage  *manage.Client
	names   *names.Hosts
	cluster *devissuer.Issuer
	id      manage.Identity
}

// Run shows the chain and cleans up after itself. It returns an error when
// anything, a refusal included, does not come out as it should.
func Run(ctx context.Context, c Config) (err error) {
	began := time.Now()
	d := &demo{Config: c}
	d.printf("Lanyard demo: a workload gets its secret, and no secret was stored for it.\n\n")

	if d.dir, err = os.MkdirTemp("", "lanyard-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if d.cluster, err = devissuer.Start(); err != nil {
		return err
	}
	defer d.cluster.Close()
	stop, err := d.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	for _, act := range []func(context.Context) error{
		d.showCluster, d.makeIdentity, d.makeVault, d.allow, d.federate, d.getSecret,
		d.refuseOtherAccount, d.refuseExpired, d.refuseWithdrawnKey,
	} {
		if err := act(ctx); err != nil {
			return fmt.Errorf("step %d: %w", d.step, err)
		}
	}
	d.printf("\nDone in %.1f s; no process and no file is left behind.\n", time.Since(began).Seconds())
	d.printf("Next: `lanyard up`, then `eval \"$(lanyard env)\"` in another shell.\n")
	return nil
}

func (d *demo) printf(format string, args ...any) { fmt.Fprintf(d.Out, format, args...) }

// say prints one numbered line.
func (d *demo) say(format string, args ...any) {
	d.step++
	d.printf("%2d  %s\n", d.step, fmt.Sprintf(format, args...))
}

func (d *demo) paint(code, s string) string {
	if !d.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (d *demo) green(s string) string { return d.paint("32", s) }
func (d *demo) red(s string) string   { return d.paint("31", s) }

// start runs a server on free ports; stop ends it and waits.
func (d *demo) start(ctx context.Context) (stop func() error, err error) {
	began := time.Now()
	d.server, err = server.New(ctx, server.Config{
		DataDir: filepath.Join(d.dir, "data"),
		Listen:  "127.0.0.1:0", Proxy: "127.0.0.1:0", Debug: "off",
		IssuerMaxAge: keysMaxAge, IssuerMinRefetch: keysMinRefetch,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- d.server.Run(runCtx) }()
	stop = func() error { cancel(); return <-done }

	if err := d.connect(); err != nil {
		return nil, errors.Join(err, stop())
	}
	d.say("start Lanyard: token service, vaults and management on one port, etcd inside (%d ms)", time.Since(began).Milliseconds())
	return stop, nil
}

func (d *demo) connect() error {
	state := d.server.State()
	n, err := names.New(names.Config{Address: state.Address})
	if err != nil {
		return err
	}
	d.names = n.Own()
	dir := server.Dir(filepath.Join(d.dir, "data"))
	roots, err := textfile.Roots(dir.CA())
	if err != nil {
		return err
	}
	adm, err := server.ReadAdmin(dir.AdminFile())
	if err != nil {
		return err
	}
	c, err := client.New(asadmin.Config(adm, d.names, roots, state.Listen))
	d.manage = manage.New(c)
	return err
}

func (d *demo) showCluster(context.Context) error {
	d.say("play a cluster that signs service-account tokens: issuer %s", d.cluster.URL)
	return nil
}

func (d *demo) makeIdentity(ctx context.Context) error {
	if _, err := d.manage.Groups().Put(ctx, group, manage.Group{Location: manage.DefaultLocation}); err != nil {
		return err
	}
	made, err := d.manage.Identities(group).Put(ctx, identityName, manage.Identity{Location: manage.DefaultLocation})
	if err != nil {
		return err
	}
	d.id = made.Is
	d.say("make a managed identity: client id %s", d.id.Properties.ClientID)
	return nil
}

func (d *demo) makeVault(ctx context.Context) error {
	me, err := d.manage.Me(ctx)
	if err != nil {
		return err
	}
	vaultWanted := d.manage.NewVault(manage.DefaultLocation, manage.VaultProperties{Policies: []manage.Policy{d.manage.SecretPolicy(me, "get", "set")}})
	if _, err := d.manage.Vaults(group).Put(ctx, vaultName, vaultWanted); err != nil {
		return err
	}
	vault, err := d.manage.SecretVault(vaultName)
	if err != nil {
		return err
	}
	if _, err := vault.Set(ctx, secretName, secretText, ""); err != nil {
		return err
	}
	d.say("make a vault and store a secret in it, encrypted: %s/secrets/%s", d.names.VaultURL(vaultName), secretName)
	return nil
}

func (d *demo) allow(ctx context.Context) error {
	if err := d.manage.AddPolicy(ctx, group, vaultName, d.id.Properties.PrincipalID, "get"); err != nil {
		return err
	}
	d.say("let the identity read secrets of that vault, and nothing else")
	return nil
}

func (d *demo) federate(ctx context.Context) error {
	if err := d.manage.TrustIssuer(ctx, manage.IssuerProperties{URL: d.cluster.URL, Roots: string(d.cluster.CA)}); err != nil {
		return err
	}
	subject := wi.Subject{Namespace: "default", Name: account}.String()
	_, err := d.manage.Credentials(group, identityName).Put(ctx, "myfederatedIdentity", manage.Credential{
		Properties: manage.CredentialProperties{
			Issuer: d.cluster.URL, Subject: subject, Audiences: []string{wi.Audience},
		},
	})
	if err != nil {
		return err
	}
	d.say("trust the cluster for one service account: %s", subject)
	return nil
}

// token is what the kubelet would write into a pod of this service account.
func (d *demo) token(account string, issued time.Time) (string, error) {
	return d.cluster.Token("default", account, wi.Audience, issued)
}

func (d *demo) getSecret(ctx context.Context) error {
	token, err := d.token(account, time.Now())
	if err != nil {
		return err
	}
	d.say("run the workload: the public Azure SDK, a token file, no secret")
	out, err := d.workload(ctx, token)
	if err != nil {
		return fmt.Errorf("the workload failed: %w\n%s", err, out)
	}
	if !strings.Contains(out, `secret="LevelUp Lab Secret\\!"`) {
		return fmt.Errorf("the workload did not print the secret: %s", out)
	}
	d.printf("    %s\n\n    Now three that must be refused:\n", d.green(strings.TrimSpace(out)))
	return nil
}

func (d *demo) refuseOtherAccount(ctx context.Context) error {
	token, err := d.token("someone-else", time.Now())
	if err != nil {
		return err
	}
	return d.refused(ctx, "another service account asks", token, "AADSTS700213")
}

func (d *demo) refuseExpired(ctx context.Context) error {
	token, err := d.token(account, time.Now().Add(-2*time.Hour))
	if err != nil {
		return err
	}
	return d.refused(ctx, "the right one asks with an expired token", token, "AADSTS700024")
}

func (d *demo) refuseWithdrawnKey(ctx context.Context) error {
	token, err := d.token(account, time.Now())
	if err != nil {
		return err
	}
	if err := d.cluster.Rotate(); err != nil {
		return err
	}
	select { // until the server reads the cluster's keys again
	case <-time.After(keysMaxAge):
	case <-ctx.Done():
		return ctx.Err()
	}
	return d.refused(ctx, "the cluster has withdrawn the key that signed the token", token, "AADSTS7000272")
}

var correlation = regexp.MustCompile(`lanyard explain ([0-9a-f-]{36})`)

// refused runs the workload, which must fail with code, and shows what the
// server's audit record says of it.
func (d *demo) refused(ctx context.Context, what, token, code string) error {
	out, err := d.workload(ctx, token)
	if err == nil {
		return errors.New("the workload got the secret, but must be refused")
	}
	if !strings.Contains(out, code+":") {
		return fmt.Errorf("want %s, got:\n%s", code, out)
	}
	found := correlation.FindStringSubmatch(out)
	if found == nil {
		return fmt.Errorf("the refusal has no correlation id:\n%s", out)
	}
	decisions, err := d.manage.Decisions(ctx, audit.Query{ID: found[1]})
	if err != nil {
		return fmt.Errorf("looking up the refusal: %w", err)
	}
	if len(decisions.Value) == 0 {
		return fmt.Errorf("no record of the refusal %s", found[1])
	}
	last := decisions.Value[len(decisions.Value)-1]
	d.say("%s: %s", what, d.red("refused, "+code))
	d.printf("    %s\n", last.Reason)
	if x := last.Exchange; x != nil && x.Hint != "" && !strings.Contains(last.Reason, x.Hint) {
		d.printf("    hint: %s\n", x.Hint)
	}
	return nil
}

// workload runs the sample workload once in a process of its own, with the
// environment and the token file that the webhook gives a pod, and no more.
func (d *demo) workload(ctx context.Context, token string) (output string, err error) {
	file := filepath.Join(d.dir, wi.TokenName)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return "", err
	}
	p := d.id.Properties
	cmd := exec.CommandContext(ctx, d.Workload[0], d.Workload[1:]...)
	cmd.Env = []string{
		"KEYVAULT_URL=" + d.names.VaultURL(vaultName) + "/", "SECRET_NAME=" + secretName, // the manifest
		wi.ClientIDEnv + "=" + p.ClientID, wi.TenantIDEnv + "=" + p.TenantID, // the webhook
		wi.AuthorityEnv + "=" + d.names.LoginURL() + "/", wi.TokenFileEnv + "=" + file,
		"SSL_CERT_FILE=" + server.Dir(filepath.Join(d.dir, "data")).CA(), // Lanyard's CA, mounted
		"HTTPS_PROXY=http://" + d.server.State().Proxy,                   // in place of the cluster's DNS
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}
