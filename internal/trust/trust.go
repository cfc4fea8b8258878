package trust

import (
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyard-io/lanyard/internal/egress"
)

// Source is where one issuer's keys come from, as an operator stored it.
type Source struct {
	Issuer string // exact, as in iss; https
	Keys   []byte // a pinned JWKS; empty: discover
	Roots  []byte // PEM, in place of Config.Roots; empty: Config.Roots
}

// Config for New. Zero values give the defaults.
type Config struct {
	Log *slog.Logger
	Now func() time.Time
	// Roots are asked for at each fetch, so that they may change; nil: the system's.
	Roots       func() *x509.CertPool
	Transport   http.RoundTripper // tests only; nil: our own, with the address rules
	Timeout     time.Duration     // of one fetch, discovery and keys together; default 5 s
	MinRefetch  time.Duration     // between two fetches of one issuer's keys, at most MaxAge; default 30 s
	MaxAge      time.Duration     // keys older than this are fetched again before use; default 5 min
	MaxStale    time.Duration     // while the issuer is unreachable, keys are used up to this age; default 10 min
	MaxDocument int64             // bytes of discovery or JWKS; default 256 KiB
	MaxKeys     int               // default 100
	Skew        time.Duration     // leeway for nbf and iat; default 5 min. exp has none
	MaxLifetime time.Duration     // exp further away is absurd; default 366 days

	// Proxy finds the egress proxy for a request, as in http.Transport; nil
	// means none, whatever the environment says. Through a proxy, names are
	// resolved there, so the address rules for them are the proxy's to keep.
	Proxy func(*http.Request) (*url.URL, error)
}

// maxSources bounds the cached issuers, and the cached pinned key sets.
const maxSources = 4096

// Verifier checks assertions. It is safe for concurrent use.
type Verifier struct {
	c       Config
	metrics metrics
	issuers *lru[sourceID, *published]
	pinned  *lru[[32]byte, pinnedKeys]
	scope   scoper
}

// New makes a Verifier. It starts no goroutine.
func New(c Config) *Verifier {
	c.Log = or(c.Log, slog.New(slog.DiscardHandler))
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Timeout = or(c.Timeout, 5*time.Second)
	c.MaxAge = or(c.MaxAge, 5*time.Minute)
	c.MaxStale = max(or(c.MaxStale, 10*time.Minute), c.MaxAge)
	c.MinRefetch = min(or(c.MinRefetch, 30*time.Second), c.MaxAge)
	c.MaxDocument = or(c.MaxDocument, 256<<10)
	c.MaxKeys = or(c.MaxKeys, 100)
	c.Skew = or(c.Skew, 5*time.Minute)
	c.MaxLifetime = or(c.MaxLifetime, 366*24*time.Hour)
	return &Verifier{
		c:       c,
		metrics: newMetrics(),
		issuers: newLRU[sourceID, *published](maxSources),
		pinned:  newLRU[[32]byte, pinnedKeys](maxSources),
		scope:   egress.ScopeOf,
	}
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Verify checks issuer, audience and time first, then the signature with the
// source's keys, fetching them if they are unknown, old or lack the key id.
// Errors are *Error.
func (v *Verifier) Verify(ctx context.Context, a *Assertion, src Source, audience string) error {
	if err := v.checkClaims(a, src.Issuer, []string{audience}); err != nil {
		return err
	}
	keys, err := v.keys(ctx, src, a)
	if err != nil {
		return err
	}
	return a.checkSignature(keys)
}

// VerifyKey checks an assertion against one known public key (client
// certificate sign-in): issuer, audience (any of), time, signature. The key id
// in the header is not looked at. Errors are *Error.
func (v *Verifier) VerifyKey(a *Assertion, public crypto.PublicKey, issuer string, audiences []string) error {
	if err := v.checkClaims(a, issuer, audiences); err != nil {
		return err
	}
	k := key{public: public}
	if err := k.check(); err != nil {
		return refuse(UnknownKey, err, "The registered key cannot verify assertions.")
	}
	if !k.fits(a.Alg) {
		return refuse(Algorithm, nil, "The assertion is signed with %s, which is not for the registered key.", a.Alg)
	}
	return a.checkSignature([]key{k})
}

// Collectors are the Verifier's metrics, for the program's registry.
func (v *Verifier) Collectors() []prometheus.Collector {
	return []prometheus.Collector{v.metrics.fetches, v.metrics.seconds}
}

func (v *Verifier) checkClaims(a *Assertion, issuer string, audiences []string) error {
	if issuer == "" || a.Issuer != issuer {
		return refuse(Issuer, nil, "The assertion's issuer is %s, expected %s.", quote(a.Issuer), quote(issuer))
	}
	holds := func(aud string) bool { return aud != "" && slices.Contains(a.Audiences, aud) }
	if !slices.ContainsFunc(audiences, holds) {
		return refuse(Audience, nil, "The assertion's audience is %s, expected %s.",
			quote(strings.Join(a.Audiences, ", ")), quote(strings.Join(audiences, " or ")))
	}
	return v.checkTime(a)
}

func (v *Verifier) checkTime(a *Assertion) error {
	now := v.c.Now()
	if a.Expires.IsZero() {
		return refuse(NoExpiry, nil, "The assertion has no expiry time (exp).")
	}
	latest := now.Add(v.c.Skew)
	reason := Reason("")
	switch {
	case a.Expires.After(now.Add(v.c.MaxLifetime)):
		reason = NoExpiry
	case !now.Before(a.Expires):
		reason = Expired
	case a.NotBefore.After(latest), a.IssuedAt.After(latest):
		reason = NotYet
	default:
		return nil
	}
	from := a.NotBefore
	if from.Before(a.IssuedAt) {
		from = a.IssuedAt
	}
	return refuse(reason, nil, "Current time: %s, assertion valid from %s, expiry time of assertion %s.",
		instant(now), instant(from), instant(a.Expires))
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "(not given)"
	}
	return t.UTC().Format(time.RFC3339)
}
