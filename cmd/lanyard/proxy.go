package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/imds"
	"github.com/lanyard-io/lanyard/internal/imds/redirect"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// proxyFlags are the sidecar's settings. What the webhook injects into every
// container is the default of what says who the workload is.
type proxyFlags struct {
	port                int
	tokenFile, clientID string
	tenantID, authority string
	identities          []string
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
				return probe(cmd.Context(), p.port, p.probeTimeout)
			}
			p.identityHeader = a.Getenv(wi.IdentityHeaderEnv)
			return a.proxy(cmd.Context(), &p)
		},
	}
	f := cmd.Flags()
	f.IntVar(&p.port, "proxy-port", 8000, "`port` on loopback")
	f.StringVar(&p.tokenFile, "token-file", a.Getenv(wi.TokenFileEnv), "projected token `file` (default $AZURE_FEDERATED_TOKEN_FILE)")
	f.StringVar(&p.clientID, "client-id", a.Getenv(wi.ClientIDEnv), "client `id` of requests that name no identity (default $AZURE_CLIENT_ID)")
	f.StringVar(&p.tenantID, "tenant-id", a.Getenv(wi.TenantIDEnv), "tenant `id` (default $AZURE_TENANT_ID)")
	f.StringVar(&p.authority, "authority-host", a.Getenv(wi.AuthorityEnv), "`URL` of the token service (default $AZURE_AUTHORITY_HOST)")
	f.StringArrayVar(&p.identities, "identity", nil, "`client-id=ID[,object-id=ID][,resource-id=ID]`: other names of an identity; may be repeated")
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

// Limits of the sidecar's own work.
const (
	probeEvery  = 100 * time.Millisecond
	metadataURL = "http://" + redirect.AddressIPv4
)

func (a *app) proxy(ctx context.Context, p *proxyFlags) error {
	level, err := logSettings(p.logFormat, p.logLevel)
	if err != nil {
		return fault.WithHint(err, "lanyard proxy --help")
	}
	log := obs.NewLogger(a.Err, p.logFormat, level)
	sidecar, err := p.sidecar()
	if err != nil {
		return fault.WithHint(err, "in a pod the webhook sets these: label it azure.workload.identity/use=true")
	}
	c := imds.Config{
		Tokens: imds.NewCache(sidecar.Token, time.Now, log).Token, Ready: sidecar.Ready,
		Secret: p.identityHeader, Log: log,
	}
	if p.forward {
		if c.Forward, err = forwarder(log); err != nil {
			return err
		}
	}
	handler, err := imds.New(c)
	if err != nil {
		return err
	}
	listeners, err := listenLoopback(ctx, p.port)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "ready", "address", listeners[0].Addr().String(), "authority", p.authority, "identity", p.clientID)
	return serveAll(ctx, listeners, handler, log)
}

func (p *proxyFlags) sidecar() (*imds.Sidecar, error) {
	var faults []error
	for _, s := range []struct{ flag, value string }{
		{"token-file", p.tokenFile}, {"tenant-id", p.tenantID}, {"authority-host", p.authority},
	} {
		if s.value == "" {
			faults = append(faults, fmt.Errorf("--%s is not set", s.flag))
		}
	}
	if p.port < 0 || p.port > 65535 {
		faults = append(faults, fmt.Errorf("port %d: want 1 to 65535, or 0 for any free one", p.port))
	}
	c := imds.SidecarConfig{TokenFile: p.tokenFile, ClientID: p.clientID}
	for _, text := range p.identities {
		i, err := imds.ParseIdentity(text)
		faults = append(faults, err)
		c.Identities = append(c.Identities, i)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var err error
	if c.Authority, err = imds.NewAuthority(imds.AuthorityConfig{Host: p.authority, TenantID: p.tenantID}); err != nil {
		return nil, err
	}
	return imds.NewSidecar(c)
}

// forwarder passes requests on to the real metadata service. It must not say for
// whom: that service refuses X-Forwarded-For.
func forwarder(log *slog.Logger) (http.Handler, error) {
	to, err := url.Parse(metadataURL)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = to.Host
		},
		Transport: &http.Transport{Proxy: nil, ResponseHeaderTimeout: probeEvery * 50, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			log.WarnContext(r.Context(), "could not pass a metadata request on", "error", err)
			w.WriteHeader(http.StatusBadGateway)
		},
	}, nil
}

// listenLoopback listens on both loopback addresses: a redirected connection
// comes to the one of its own family. A machine may have no IPv6.
func listenLoopback(ctx context.Context, port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	four, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("%w: choose another with --proxy-port", err)
	}
	port = four.Addr().(*net.TCPAddr).Port
	six, err := lc.Listen(ctx, "tcp", net.JoinHostPort("::1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		return []net.Listener{four}, nil
	}
	if err != nil {
		return nil, errors.Join(err, four.Close())
	}
	return []net.Listener{four, six}, nil
}

// serveAll serves one handler on every listener until ctx ends.
func serveAll(ctx context.Context, listeners []net.Listener, handler http.Handler, log *slog.Logger) error {
	work, ctx := errgroup.WithContext(ctx)
	for _, ln := range listeners {
		work.Go(func() error {
			return httpx.Serve(ctx, ln, httpx.Server(httpx.ServerConfig{Handler: handler, Log: log}))
		})
	}
	return work.Wait()
}

// probe waits until the sidecar says that it is ready.
func probe(ctx context.Context, port int, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{Proxy: nil}}
	target := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + "/readyz"
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var last error
	for {
		err := askReady(ctx, client, target)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the sidecar is not ready: %w", last)
		case <-tick.C:
		}
	}
}

func askReady(ctx context.Context, client *http.Client, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	words, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(words)))
	}
	return err
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
