package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/lanyard-io/lanyard/internal/admission"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// Config is everything that an operator decides.
type Config struct {
	Admission admission.Config // Sidecar.Native is set by the cluster's version
	// TrustFile is the PEM file of Admission.Trust; it is read again when it changes.
	TrustFile string

	Listen  string // HTTPS; default :9443
	Health  string // plain HTTP, /healthz and /readyz; "off" for none. Default :9440
	Metrics string // plain HTTP, /metrics; "off" for none. Default :8095

	// Kube says which cluster; the zero value is the one that the process runs in.
	Kube kube.Config

	// CertDir holds tls.crt and tls.key, kept by cert-manager or by hand, and
	// read again when they change. Empty keeps a certificate in the cluster.
	CertDir string
	MinTLS  uint16 // default TLS 1.3

	// Of the certificate that is kept in the cluster; the defaults are the names
	// that the upstream webhook uses.
	Namespace     string // default azure-workload-identity-system
	Service       string // default azure-wi-webhook-webhook-service
	Secret        string // default azure-wi-webhook-server-cert
	Configuration string // default azure-wi-webhook-mutating-webhook-configuration

	// DrainDelay is how long requests are still accepted after ctx ended: until
	// the cluster has heard that this replica is not ready.
	DrainDelay time.Duration
	// Federated tells whether an identity trusts a subject; nil when nobody knows.
	Federated func(ctx context.Context, clientID, subject string) (known, ok bool)

	// Settled, which may be nil, is called when all service accounts are known.
	Settled func()

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

const off = "off"

func (c Config) withDefaults() Config {
	set := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	set(&c.Listen, ":9443")
	set(&c.Health, ":9440")
	set(&c.Metrics, ":8095")
	set(&c.Namespace, "azure-workload-identity-system")
	set(&c.Service, "azure-wi-webhook-webhook-service")
	set(&c.Secret, "azure-wi-webhook-server-cert")
	set(&c.Configuration, "azure-wi-webhook-mutating-webhook-configuration")
	if c.MinTLS == 0 {
		c.MinTLS = tls.VersionTLS13
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Kube.Log, c.Kube.Now = c.Log, c.Now
	return c
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	_, err := c.withDefaults().check()
	return err
}

// check also reads the trust file.
func (c Config) check() (*admission.Config, error) {
	var faults []error
	for _, l := range []struct{ name, addr string }{{"listen", c.Listen}, {"health", c.Health}, {"metrics", c.Metrics}} {
		if l.addr == off && l.name != "listen" {
			continue
		}
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			faults = append(faults, fmt.Errorf("%s address %q: want [HOST]:PORT", l.name, l.addr))
		}
	}
	if c.DrainDelay < 0 || c.DrainDelay > time.Minute {
		faults = append(faults, fmt.Errorf("drain delay %s: want 0s to 1m", c.DrainDelay))
	}
	a, err := c.withTrust()
	if err != nil {
		faults = append(faults, err)
	} else if err := a.Validate(); err != nil {
		faults = append(faults, err)
	}
	return a, errors.Join(faults...)
}

// withTrust is what to inject, with the trust file as it is now.
func (c Config) withTrust() (*admission.Config, error) {
	a := c.Admission
	if c.TrustFile == "" {
		return &a, nil
	}
	b, err := textfile.Read(c.TrustFile)
	if err != nil {
		return nil, fmt.Errorf("reading the CA for pods: %w", err)
	}
	var trust admission.Trust
	if a.Trust != nil {
		trust = *a.Trust
	}
	trust.PEM = b
	a.Trust = &trust
	return &a, nil
}

func (c Config) certFiles() (cert, key string) {
	return filepath.Join(c.CertDir, "tls.crt"), filepath.Join(c.CertDir, "tls.key")
}

// names that the API server may call the service by.
func (c Config) names() []string {
	name := c.Service + "." + c.Namespace + ".svc"
	return []string{name, name + ".cluster.local"}
}

// GCPercent is the garbage collector's setting that suits the process, unless
// GOGC is set. Until Settled that is GCPercentAtFirst: reading all service
// accounts is when it needs the most memory.
const (
	GCPercent        = 100
	GCPercentAtFirst = 30
)
