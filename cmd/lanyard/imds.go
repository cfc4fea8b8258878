package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/imds"
	"github.com/lanyard-io/lanyard/internal/imds/machine"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// imdsFlags are the settings of a machine's own metadata endpoint.
type imdsFlags struct {
	machine.Config
	listen, shell          string
	secretOnly, oldClients bool
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
	f.StringVar(&p.Identity, "identity", "", "`name` of the managed identity")
	f.StringVarP(&p.Group, "resource-group", "g", manage.DefaultGroup, "its resource `group`")
	f.StringVar(&p.listen, "listen", "127.0.0.1:7470", "loopback `address`, HOST:PORT")
	f.StringVar(&p.shell, "shell", "sh", "of the lines: sh, fish or powershell")
	f.BoolVar(&p.secretOnly, "header-only", false, "serve only App Service's shape, which needs the secret header")
	f.BoolVar(&p.oldClients, "http-proxy", false, "also print HTTP_PROXY, for clients that know only 169.254.169.254, such as az 2.60")
	if err := cmd.MarkFlagRequired("identity"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
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
	p.Server = c
	m, err := machine.New(ctx, p.Config)
	if err != nil {
		return err
	}
	if err := m.Trust(ctx); err != nil {
		return errors.Join(err, m.Distrust(ctx))
	}
	err = a.serveIMDS(ctx, m, p, ln, syntax)
	return errors.Join(err, m.Distrust(ctx))
}

// serveIMDS says how to use the endpoint, and serves it until ctx ends.
func (a *app) serveIMDS(ctx context.Context, m *machine.Machine, p *imdsFlags, ln net.Listener, syntax shell.Syntax) error {
	log := obs.NewLogger(a.Err, "text", slog.LevelInfo)
	secret := rand.Text()
	handler, err := imds.New(imds.Config{
		Tokens: imds.NewCache(m.Token, time.Now, log).Token, Secret: secret, SecretOnly: p.secretOnly, Log: log,
	})
	if err != nil {
		return err
	}
	for _, v := range machine.Variables("http://"+ln.Addr().String(), secret, p.secretOnly, p.oldClients) {
		fmt.Fprintln(a.Out, syntax.Set(v.Name, v.Value))
	}
	a.say("this machine is %s, client id %s, until ctrl-c", m.Identity().Name, m.Identity().Properties.ClientID)
	return imds.Serve(ctx, []net.Listener{ln}, handler, log)
}
