package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/store"
)

// Config is everything that an operator decides. The zero value with a DataDir
// is a laptop's server; every other field has a default that is safe there.
type Config struct {
	// DataDir holds the embedded etcd, the audit log, the key file, the CA
	// certificate and the admin's credentials. It is made 0700.
	DataDir string
	// Address is the public address, DOMAIN or DOMAIN:PORT; every URL is made
	// from it. It cannot change once the store exists. Default lanyard.localhost.
	Address string
	// Listen is the HTTPS listener. Default 127.0.0.1:7443.
	Listen string
	// PeerAddress is where the other servers of the same etcd reach this one's
	// listener, HOST or HOST:PORT. Default: its own address, or the machine's first.
	PeerAddress string
	// Proxy is the loopback CONNECT proxy's listener; "off" for none. Default 127.0.0.1:7480.
	Proxy string
	// Debug is the listener of metrics, health, readiness and pprof; "off" for
	// none. It has no authentication. Default 127.0.0.1:7490.
	Debug string

	// Health is a further listener of /healthz and /readyz alone, for a kubelet;
	// "off" for none, the default. It may listen anywhere.
	Health string
	// Metrics is a further listener of /metrics alone, for a monitoring system;
	// "off" for none, the default. It may listen anywhere.
	Metrics string
	// Drain is how long, once it is to stop, the server is not ready and serves on,
	// so that whoever sends it requests can notice. Default 0, at most 10 min.
	Drain time.Duration

	// ClusterDNS is the namespace of the Services lanyard and vault in the cluster
	// that the process runs in: the names of vaults are kept in its DNS. Empty for none.
	ClusterDNS string

	// Webhook is the HTTPS listener of the admission webhook, for attached clusters
	// that are to call this server; "off" for none, the default.
	Webhook string
	// WebhookImage is the image of the webhook for clusters that are to run it
	// themselves. Without it, their own settings must name one.
	WebhookImage string

	// AzureNames also answers for Microsoft's public names (names mode).
	AzureNames bool
	// Aliases are further host names: login=HOST, management=HOST, graph=HOST, vault=ZONE.
	Aliases []string
	// ADFS makes vault challenges name https://login.DOMAIN/adfs, for clients
	// that run with AZURE_TENANT_ID=adfs.
	ADFS bool

	// KeyFile is the key-encryption key. Default DataDir/seal.key, made at the
	// first start of a new store and never again.
	KeyFile string
	// TLSCert and TLSKey are the operator's own certificate, PEM files that are
	// read again when they change. Default: a certificate of Lanyard's own CA.
	TLSCert, TLSKey string
	// Etcd names an external etcd. Without endpoints, etcd runs in the process.
	Etcd store.DialConfig
	// EtcdQuota is what the database of the etcd in the process may grow to, in GiB. Default 4.
	EtcdQuota int
	// Prefix of all keys in etcd, for an etcd that is shared. Default /lanyard.
	Prefix string
	// SwitchStore takes a store although the data directory served another one, or
	// a newer copy of it, last; or begins one. The other's credentials are kept aside.
	SwitchStore bool
	// PodName is the server's name among its replicas, as a StatefulSet gives it. One
	// that ends in -1 or more begins no store, and needs an external etcd.
	PodName string

	existing bool // the store must exist

	// TenantID and SubscriptionID of a new store. Default random; they cannot
	// change once the store exists.
	TenantID, SubscriptionID string

	// MaxCredentials is how many federated credentials an identity may have;
	// negative = no limit. Default 20.
	MaxCredentials int
	// RS256 signs every access token with RSA, as Entra does. By default tokens
	// for Lanyard's own surfaces are ES256, which signs 30 times faster.
	RS256 bool
	// NoPasswordGrant keeps people's passwords to the sign-in page: clients may
	// not send one (`az login -u NAME -p PASSWORD`).
	NoPasswordGrant bool
	// Audiences are further resources that tokens may be asked for, such as api://my-app.
	Audiences []string
	// AppLifetime (of people's tokens too) and IdentityLifetime of access tokens. Defaults 1 h and 24 h, at most 24 h.
	AppLifetime, IdentityLifetime time.Duration

	// IssuerRoots is a PEM file of CAs to trust for foreign issuers, in place of the system's.
	IssuerRoots string
	// IssuerMaxAge is how long an issuer's keys are used before they are read
	// again: the time within which a withdrawn key stops working. Default 5 min.
	IssuerMaxAge time.Duration
	// IssuerMinRefetch is the least time between two reads of one issuer's keys. Default 30 s.
	IssuerMinRefetch time.Duration

	// AuditSync waits for the disk before each answer, not only for the system.
	AuditSync bool
	// AuditKeep is how many audit files of 128 MiB are kept, and how many of changes
	// of 32 MiB; negative = all. Default 32.
	AuditKeep int
	// AuditKeepRefused is how many files of refusals, of 32 MiB, are kept. Default 16.
	AuditKeepRefused int
	// AuditDays is after how many days records are removed; 0, the default: never
	// for their age.
	AuditDays int

	// Limits of what one address may have that nobody has authenticated, each
	// minute; a negative one is none. Defaults 600, 120 and 60.
	LimitRefusals, LimitDeviceCodes, LimitSignIns int

	// NewAdmin makes a new secret for the admin at start, and writes its file again.
	NewAdmin bool

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

// GCPercent is the garbage collector's setting that suits a server with a loaded
// store, unless GOGC is set. What is in memory is mostly small: collecting less
// often costs a few tens of megabytes under load and saves a tenth of the time.
// With a large store that would cost gigabytes, so there it is less, but still twice
// Go's own setting: each collection visits every object of the store.
func GCPercent() int {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 512<<20 {
		return 200
	}
	return 300
}

// off is a listener's address when it is not wanted.
const off = "off"

// Files of the data directory.
const (
	keyFileName    = "seal.key"
	caFileName     = "ca.pem"
	bundleName     = "ca-bundle.pem"
	truststoreName = "truststore.p12"
	adminFileName  = "admin.json"
	stateFileName  = "server.json"
	etcdDirName    = "etcd"
	auditDirName   = "audit"
)

func (c Config) withDefaults() Config {
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	set(&c.Address, "lanyard.localhost")
	set(&c.Listen, "127.0.0.1:7443")
	set(&c.Proxy, "127.0.0.1:7480")
	set(&c.Debug, "127.0.0.1:7490")
	set(&c.Health, off)
	set(&c.Metrics, off)
	set(&c.Webhook, off)
	set(&c.KeyFile, c.path(keyFileName))
	if c.MaxCredentials == 0 {
		c.MaxCredentials = 20
	}
	if c.MaxCredentials < 0 {
		c.MaxCredentials = 0 // arm's "no limit"
	}
	if c.AppLifetime == 0 {
		c.AppLifetime = time.Hour
	}
	if c.IdentityLifetime == 0 {
		c.IdentityLifetime = 24 * time.Hour
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Etcd.Log == nil {
		c.Etcd.Log = c.Log
	}
	return c
}

func (c Config) path(name string) string { return filepath.Join(c.DataDir, name) }

// follower says whether the server is a replica, but not the first one.
func (c Config) follower() bool {
	n, err := strconv.ParseUint(c.PodName[strings.LastIndexByte(c.PodName, '-')+1:], 10, 31)
	return err == nil && n > 0
}

// checkReplica refuses a second replica with a store of its own: it would be behind
// the same Services, and empty.
func (c Config) checkReplica() error {
	if c.follower() && len(c.Etcd.Endpoints) == 0 {
		return fmt.Errorf("%s is one of several replicas, and the embedded etcd serves one alone: scale to one replica, or move to an external etcd and set --etcd-endpoints", c.PodName)
	}
	return nil
}

// maxLifetime is the longest that an access token may live: retired signing keys
// are kept just beyond it.
const maxLifetime = 24 * time.Hour

// maxDrain is longer than any load balancer takes to notice.
const maxDrain = 10 * time.Minute

// Validate reports every fault at once.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	c = c.withDefaults()
	if c.DataDir == "" {
		fault("the data directory is not set")
	}
	if _, err := c.names(); err != nil {
		faults = append(faults, err)
	}
	for _, l := range []struct{ name, addr string }{
		{"listen", c.Listen}, {"proxy", c.Proxy}, {"debug", c.Debug}, {"webhook", c.Webhook}, {"health", c.Health}, {"metrics", c.Metrics},
	} {
		if l.addr == off && l.name != "listen" {
			continue
		}
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			fault("%s address %q: want HOST:PORT", l.name, l.addr)
		}
	}
	if host, _, err := net.SplitHostPort(c.Proxy); err == nil && !loopback(host) {
		fault("proxy address %q: it has no authentication, so it may listen on loopback only", c.Proxy)
	}
	if host, _, err := net.SplitHostPort(c.Debug); err == nil && !loopback(host) {
		fault("debug address %q: it has no authentication, so it may listen on loopback only", c.Debug)
	}
	if c.Drain < 0 || c.Drain > maxDrain {
		fault("drain of %s: want 0 to %s", c.Drain, maxDrain)
	}
	faults = append(faults, c.checkRecords()...)
	if (c.TLSCert == "") != (c.TLSKey == "") {
		fault("a TLS certificate and its key go together: set both or neither")
	}
	for _, id := range []struct{ name, value string }{{"tenant", c.TenantID}, {"subscription", c.SubscriptionID}} {
		if id.value != "" && !model.ValidUUID(id.value) {
			fault("%s id %q: want a UUID", id.name, id.value)
		}
	}
	for _, l := range []struct {
		name  string
		value time.Duration
	}{{"application", c.AppLifetime}, {"identity", c.IdentityLifetime}} {
		if l.value < time.Minute || l.value > maxLifetime {
			fault("%s token lifetime %s: want 1m to %s", l.name, l.value, maxLifetime)
		}
	}
	return errors.Join(faults...)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (c Config) names() (*names.Names, error) {
	return names.New(names.Config{
		Address: c.Address, Azure: c.AzureNames, Discovery: c.Proxy != off, Aliases: c.Aliases,
	})
}
