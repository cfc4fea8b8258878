package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/imds"
	"github.com/lanyard-io/lanyard/internal/imds/redirect"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// proxyFlags are the sidecar's settings.
type proxyFlags struct {
	imds.Settings
	forward, probe      bool
	probeTimeout        time.Duration
	logFormat, logLevel string
	identityHeader      string // $IDENTITY_HEADER
}

func newProxyCmd(a *app) *cobra.Command {
	var p proxyFlags
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Run the sidecar that gives a pod's old code its managed identity",
		Long: `Answer on loopback as Azure's instance metadata service does for access tokens,
with tokens that the pod's projected service account token is exchanged for. Code
that was written for managed identities then works in any pod, unchanged.

Requests reach it in one of two ways: 'lanyard proxy redirect', run before it in an
init container with the capability NET_ADMIN, leads the metadata address here; or,
where that is forbidden, the variables IDENTITY_ENDPOINT=http://127.0.0.1:8000/msi/token
and IDENTITY_HEADER, with the same value in the workload and here, name it to the SDKs.

A request by client_id gets that client's token if the service account is trusted
with it. A token service cannot tell which client an object id or a resource id
means: say so with --identity, or such requests are refused.`,
		Example: `  lanyard proxy                          # in a pod that the webhook injected
  lanyard proxy --identity client-id=CLIENT,object-id=PRINCIPAL,resource-id=/subscriptions/…
  lanyard proxy --probe                  # is the sidecar of this pod ready?`,
		Args: verbOnly,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p.probe {
				return imds.Probe(cmd.Context(), p.Port, p.probeTimeout)
			}
			p.identityHeader = a.Getenv(wi.IdentityHeaderEnv)
			return a.proxy(cmd.Context(), &p)
		},
	}
	f := cmd.Flags()
	f.IntVar(&p.Port, "proxy-port", 8000, "`port` on loopback")
	f.StringVar(&p.TokenFile, "token-file", a.Getenv(wi.TokenFileEnv), "projected token `file` (default $AZURE_FEDERATED_TOKEN_FILE)")
	f.StringVar(&p.ClientID, "client-id", a.Getenv(wi.ClientIDEnv), "client `id` of requests that name no identity (default $AZURE_CLIENT_ID)")
	f.StringVar(&p.TenantID, "tenant-id", a.Getenv(wi.TenantIDEnv), "tenant `id` (default $AZURE_TENANT_ID)")
	f.StringVar(&p.Authority, "authority-host", a.Getenv(wi.AuthorityEnv), "`URL` of the token service (default $AZURE_AUTHORITY_HOST)")
	f.StringArrayVar(&p.Identities, "identity", nil, "`client-id=ID[,object-id=ID][,resource-id=ID]`: other names of an identity; may be repeated")
	f.BoolVar(&p.forward, "forward-metadata", false, "pass other metadata requests on to the real service; needs the redirect's exemption")
	f.BoolVar(&p.probe, "probe", false, "ask a running sidecar whether it is ready, and wait until it is")
	f.DurationVar(&p.probeTimeout, "probe-timeout", 10*time.Second, "how long --probe waits")
	f.StringVar(&p.logFormat, "log-format", "json", "text or json")
	f.StringVar(&p.logLevel, "log-level", "info", "debug, info, warn or error")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "port" {
			name = "proxy-port"
		}
		return pflag.NormalizedName(name)
	})
	cmd.AddCommand(newRedirectCmd(a))
	return cmd
}

func (a *app) proxy(ctx context.Context, p *proxyFlags) error {
	log, err := obs.OpenLog(a.Err, p.logFormat, p.logLevel)
	if err != nil {
		return fault.WithHint(err, "lanyard proxy --help")
	}
	sidecar, err := p.Sidecar()
	if err != nil {
		return fault.WithHint(err, "in a pod the webhook sets these: label it azure.workload.identity/use=true")
	}
	c := imds.Config{
		Tokens: imds.NewCache(sidecar.Token, time.Now, log).Token, Ready: sidecar.Ready,
		Secret: p.identityHeader, Log: log,
	}
	if p.forward {
		if c.Forward, err = imds.Forwarder(imds.MetadataURL, log); err != nil {
			return err
		}
	}
	handler, err := imds.New(c)
	if err != nil {
		return err
	}
	listeners, err := imds.ListenLoopback(ctx, p.Port)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "ready", "address", listeners[0].Addr().String(), "authority", p.Authority, "identity", p.ClientID)
	return imds.Serve(ctx, listeners, handler, log)
}

// sidecarUID is the user of the image.
const sidecarUID = 65532

func newRedirectCmd(a *app) *cobra.Command {
	var c redirect.Config
	var remove bool
	port := 8000
	if n, err := strconv.Atoi(a.Getenv("PROXY_PORT")); err == nil {
		port = n
	}
	cmd := &cobra.Command{
		Use:   "redirect",
		Short: "Lead the metadata address of this network namespace to the sidecar",
		Long: `Redirect connections to 169.254.169.254, port 80, to a port on loopback, in the
network namespace that it runs in, by one nftables table of its own (lanyard-imds).
It needs the capability NET_ADMIN, no program and no file; it may be run again at
any time. Requests of the sidecar's own user go to the real address.`,
		Example: `  lanyard proxy redirect --port 8000
  lanyard proxy redirect --port 8000 --uid 1501
  lanyard proxy redirect --remove`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var err error
			if remove {
				err = redirect.Remove()
			} else {
				err = redirect.Apply(c)
			}
			if errors.Is(err, redirect.ErrPermission) {
				return fault.WithHint(err, "give the init container securityContext.capabilities.add [NET_ADMIN] and runAsUser 0, or do without: lanyard proxy --help")
			}
			if err == nil && !remove {
				a.say("%s:80 is led to port %d", redirect.AddressIPv4, c.Port)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.Port, "port", port, "the sidecar's `port` (default $PROXY_PORT)")
	f.Int64Var(&c.ExemptUID, "uid", sidecarUID, "user `id` that is not redirected, the sidecar's; -1 for none")
	f.BoolVar(&remove, "remove", false, "take the redirect away")
	return cmd
}
