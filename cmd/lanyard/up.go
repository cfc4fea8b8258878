package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/obs"
	"github.com/lanyard-io/lanyard/internal/server"
	"github.com/lanyard-io/lanyard/internal/shell"
)

func newUpCmd(a *app) *cobra.Command {
	var (
		c         server.Config
		logFormat string
		logLevel  string
		noLimit   bool
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the server until it is stopped",
		Long: `Run the token service, the vaults and their management until stopped with
ctrl-c or SIGTERM. All data lives in the data directory and survives restarts;
with --etcd-endpoints it lives in that etcd, and any number of servers share it.

The first start writes the admin's credentials to DATA-DIR/admin.json.`,
		Example: `  lanyard up
  lanyard up --azure-names                          # also answer for Microsoft's names
  lanyard up --address lanyard.example.org --listen 0.0.0.0:443 --proxy off \
      --tls-cert tls.crt --tls-key tls.key
  lanyard up --etcd-endpoints https://etcd-0:2379,https://etcd-1:2379 \
      --etcd-ca ca.pem --etcd-cert client.pem --etcd-key client.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.DataDir = a.dataDir
			if noLimit {
				c.MaxCredentials = -1
			}
			log, err := obs.OpenLog(a.Err, logFormat, logLevel)
			if err := errors.Join(c.Validate(), err); err != nil {
				return fault.WithHint(err, "lanyard up --help")
			}
			c.Log = log
			return a.up(cmd, c)
		},
	}
	f := cmd.Flags()
	addPlaceFlags(f, &c)
	addRuleFlags(f, &c)
	f.BoolVar(&noLimit, "no-credential-limit", false, "any number of federated credentials per identity")
	addEtcdFlags(f, &c)
	f.StringVar(&logFormat, "log-format", "text", "text or json")
	f.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// addPlaceFlags say where the server is, what it answers to and what it keeps there.
func addPlaceFlags(f *pflag.FlagSet, c *server.Config) {
	f.StringVar(&c.Address, "address", "lanyard.localhost", "public address, `DOMAIN[:PORT]`; every URL is made from it")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:7443", "HTTPS listener, `HOST:PORT`")
	f.StringVar(&c.PeerAddress, "peer-address", "", "where other servers of the same etcd reach this one, `HOST[:PORT]` (default its own address)")
	f.StringVar(&c.Proxy, "proxy", "127.0.0.1:7480", "loopback CONNECT proxy, `HOST:PORT` or off")
	f.StringVar(&c.Debug, "debug", "127.0.0.1:7490", "loopback listener of metrics, health and pprof, `HOST:PORT` or off")
	f.StringVar(&c.Health, "health", "off", "further listener of /healthz and /readyz alone, `HOST:PORT` or off")
	f.StringVar(&c.Metrics, "metrics", "off", "further listener of /metrics alone, `HOST:PORT` or off")
	f.DurationVar(&c.Drain, "drain", 0, "how long to serve on, not ready, once it is to stop")
	f.StringVar(&c.ClusterDNS, "cluster-dns", "", "in a pod: keep vaults' names in the cluster's DNS, by Services in this `namespace`")
	f.StringVar(&c.Webhook, "webhook", "off", "HTTPS listener of the webhook for attached clusters, `HOST:PORT` or off")
	f.StringVar(&c.WebhookImage, "webhook-image", "", "`image` of the webhook for clusters that run it themselves")
	f.BoolVar(&c.AzureNames, "azure-names", false, "also answer for Microsoft's public names")
	f.StringSliceVar(&c.Aliases, "alias", nil, "further host names, `SURFACE=HOST`: login, management, graph, or vault (a zone)")
	f.BoolVar(&c.ADFS, "adfs", false, "vault challenges name the authority /adfs, for clients with AZURE_TENANT_ID=adfs")
	f.StringVar(&c.KeyFile, "key-file", "", "key-encryption key `file` (default DATA-DIR/seal.key)")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM `file` with the server's certificate chain (default Lanyard's own CA)")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM `file` with its key")
	f.StringVar(&c.TenantID, "tenant-id", "", "tenant `UUID` of a new store (default random)")
	f.StringVar(&c.SubscriptionID, "subscription-id", "", "subscription `UUID` of a new store (default random)")
	f.BoolVar(&c.NewAdmin, "new-admin", false, "make a new secret for the admin and write admin.json again")
	f.BoolVar(&c.SwitchStore, "switch-store", false, "take another store than the data directory served last, or an older copy")
	f.StringVar(&c.PodName, "pod-name", "", "`name` of this replica; one that ends in -1 or more begins no store")
}

// addRuleFlags say whom it trusts, what it issues and what it records.
func addRuleFlags(f *pflag.FlagSet, c *server.Config) {
	f.IntVar(&c.MaxCredentials, "max-credentials", 20, "federated credentials per identity")
	f.BoolVar(&c.RS256, "rs256", false, "sign every access token with RSA, as Entra does")
	f.BoolVar(&c.NoPasswordGrant, "no-password-grant", false, "take people's passwords on the sign-in page only, not from clients (az login -u -p)")
	f.StringSliceVar(&c.Audiences, "audience", nil, "further `resource` that tokens may be asked for, such as api://my-app")
	f.DurationVar(&c.AppLifetime, "app-token-lifetime", time.Hour, "life of applications' and people's access tokens")
	f.DurationVar(&c.IdentityLifetime, "identity-token-lifetime", 24*time.Hour, "life of managed identities' access tokens")
	f.StringVar(&c.IssuerRoots, "issuer-roots", "", "PEM `file` of CAs to trust for foreign issuers (default the system's)")
	f.DurationVar(&c.IssuerMaxAge, "issuer-max-age", 5*time.Minute, "how long an issuer's keys are used before they are read again")
	f.DurationVar(&c.IssuerMinRefetch, "issuer-min-refetch", 30*time.Second, "least time between two reads of one issuer's keys")
	f.BoolVar(&c.AuditSync, "audit-sync", false, "wait for the disk before each answer")
	f.IntVar(&c.AuditKeep, "audit-keep", 32, "audit files of 128 MiB to keep, and as many of changes of 32 MiB; negative keeps all")
	f.IntVar(&c.AuditKeepRefused, "audit-keep-refused", 16, "audit files of refusals to keep, of 32 MiB")
	f.IntVar(&c.AuditDays, "audit-days", 0, "remove audit records after so many days; 0 keeps them whatever their age")
	f.IntVar(&c.LimitRefusals, "limit-refusals", 600, "refused token requests from one address each minute; then 429 in place of the reason; negative for no limit")
	f.IntVar(&c.LimitDeviceCodes, "limit-device-codes", 120, "device codes and attempts at one from one address each minute; negative for no limit")
	f.IntVar(&c.LimitSignIns, "limit-sign-ins", 60, "sign-ins with a wrong password from one address each minute; negative for no limit")
}

func (a *app) up(cmd *cobra.Command, c server.Config) error {
	heedMemoryLimit(cmd.Context(), c.Log)
	_, adminErr := os.Stat(server.Dir(c.DataDir).AdminFile())
	s, err := server.New(cmd.Context(), c)
	if err != nil {
		return err
	}
	if errors.Is(adminErr, fs.ErrNotExist) || c.NewAdmin {
		if _, err := os.Stat(server.Dir(c.DataDir).AdminFile()); err == nil {
			a.say("the admin's credentials are in %s (only you can read it)", server.Dir(c.DataDir).AdminFile())
		}
	}
	if a.Getenv("GOGC") == "" {
		debug.SetGCPercent(server.GCPercent())
	}
	a.say("lanyard is up at %s", s.State().Listen)
	a.say("in another shell: %s", evalLine(a))
	return s.Run(cmd.Context())
}

// evalLine is what a person types to use the server.
func evalLine(a *app) string {
	if a.dataDir == defaultDataDir(a.Getenv) {
		return `eval "$(lanyard env)"`
	}
	return fmt.Sprintf(`eval "$(lanyard env --data-dir %s)"`, shell.Quote(a.dataDir))
}
