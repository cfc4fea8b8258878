package imds

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"
)

// Request is what a client asks for.
type Request struct {
	Resource string // the token's audience, as it is
	Selector
}

// Selector says which identity a client wants. At most one field is set; with
// none it is the default identity's token that is wanted.
type Selector struct {
	ClientID   string
	ObjectID   string
	ResourceID string // an ARM id
}

// Token is an access token.
type Token struct {
	Value     string
	ClientID  string // of the identity that it is for
	NotBefore time.Time
	Expires   time.Time
}

// Config for New.
type Config struct {
	// Tokens gets a token. An *Error of it is the answer; any other error is a
	// 500 without detail. Required.
	Tokens func(ctx context.Context, q Request) (Token, error)
	// Secret is what X-IDENTITY-HEADER must hold in App Service's shape; without
	// one that shape is not served.
	Secret string
	// SecretOnly leaves out the instance metadata service's own shape, which any
	// process that reaches the listener may use.
	SecretOnly bool
	// Forward answers what is below /metadata/, but not what is below
	// /metadata/identity; nil refuses it.
	Forward http.Handler
	// Ready says on /readyz why no token can be had; nil: always ready.
	Ready func(ctx context.Context) error

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default none
}

// Server is the handler of both shapes.
type Server struct {
	c Config
}

// New checks the configuration.
func New(c Config) (*Server, error) {
	switch {
	case c.Tokens == nil:
		return nil, errors.New("imds: Tokens is required")
	case c.SecretOnly && c.Secret == "":
		return nil, errors.New("imds: SecretOnly needs a Secret")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{c: c}, nil
}

// Paths that are served.
const (
	metadataPrefix = "/metadata/"
	identityPrefix = "/metadata/identity"
	tokenPath      = "/metadata/identity/oauth2/token"
	// AppServicePath is where App Service's shape is served, below the
	// listener's address: the path of IDENTITY_ENDPOINT.
	AppServicePath = "/msi/token"
)

// ServeHTTP implements http.Handler. Paths are compared without letter case, as
// the metadata service does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := s.c.Now()
	at := strings.ToLower(strings.TrimSuffix(r.URL.Path, "/"))
	switch {
	case at == "/healthz" || at == "/readyz":
		s.health(w, r, at == "/readyz")
		return
	case at == AppServicePath && s.c.Secret != "":
		s.serve(w, r, start, s.askAppService, answerAppService, writeAppServiceError)
		return
	case at == tokenPath && !s.c.SecretOnly:
		s.serve(w, r, start, ask, answer, writeError)
		return
	case s.c.Forward != nil && forwardable(at):
		if err := sound(r); err != nil {
			writeError(w, err)
			return
		}
		s.c.Forward.ServeHTTP(w, r)
		return
	}
	writeError(w, &Error{Status: http.StatusNotFound, Code: "not_found", Detail: "Only " + tokenPath + " is served here."})
}

// forwardable says whether a path, in lower case, is metadata and no identity to
// any reader: one that the real service could mend into another is not.
func forwardable(p string) bool {
	plain := strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789/._-") == "" && path.Clean(p) == p
	return plain && strings.HasPrefix(p, metadataPrefix) && !strings.HasPrefix(p, identityPrefix)
}

// serve is one token request in either shape.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, start time.Time,
	read func(*http.Request) (Request, error), write func(http.ResponseWriter, Request, Token, time.Time), refuse func(http.ResponseWriter, error),
) {
	q, err := read(r)
	var t Token
	if err == nil {
		t, err = s.c.Tokens(r.Context(), q)
	}
	took := s.c.Now().Sub(start)
	if err != nil {
		s.c.Log.WarnContext(r.Context(), "refused a token", "resource", q.Resource, "identity", q.Selector.String(), "took", took, "error", err)
		refuse(w, err)
		return
	}
	s.c.Log.InfoContext(r.Context(), "gave a token", "resource", q.Resource, "identity", t.ClientID, "took", took)
	write(w, q, t, s.c.Now())
}

func (s *Server) health(w http.ResponseWriter, r *http.Request, ready bool) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if ready && s.c.Ready != nil {
		if err := s.c.Ready(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte(err.Error() + "\n"))
			return
		}
	}
	w.Write([]byte("ok\n"))
}

// oldestVersion is the oldest api-version that the identity endpoint has.
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
const oldestVersion = "2018-02-01"

// ask reads a request in the metadata service's own shape.
func ask(r *http.Request) (Request, error) {
	if err := sound(r); err != nil {
		return Request{}, err
	}
	return readQuery(r, oldestVersion, "")
}

// appServiceVersion is the one api-version of App Service's shape.
// https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
const appServiceVersion = "2019-08-01"

func (s *Server) askAppService(r *http.Request) (Request, error) {
	if r.Method != http.MethodGet {
		return Request{}, wrongMethod(r)
	}
	if !address(r.Host) {
		return Request{}, invalid("The Host header must be an address or localhost")
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Identity-Header")), []byte(s.c.Secret)) != 1 {
		return Request{}, &Error{Status: http.StatusUnauthorized, Code: "invalid_request", Detail: "The header X-IDENTITY-HEADER is missing or wrong"}
	}
	return readQuery(r, appServiceVersion, appServiceVersion)
}

// sound refuses what a page in a browser, or somebody behind a proxy, may have
// sent: such a request cannot set Metadata without being asked, comes through a
// forwarder, or was made for another host name.
func sound(r *http.Request) error {
	switch {
	case r.Method != http.MethodGet:
		return wrongMethod(r)
	case !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		return invalid("Required metadata header not specified")
	case r.Header["X-Forwarded-For"] != nil:
		return invalid("Requests with the header X-Forwarded-For are not served")
	case !address(r.Host):
		return invalid("The Host header must be an address or localhost")
	}
	return nil
}

// address says whether a Host header cannot be a name that an attacker's DNS
// points here.
func address(host string) bool {
	u, err := url.Parse("http://" + host)
	if err != nil {
		return false
	}
	name := u.Hostname()
	_, err = netip.ParseAddr(name)
	return err == nil || strings.EqualFold(name, "localhost")
}

// Limits of a query.
const (
	maxResource = 2048
	maxSelector = 1024
)

func readQuery(r *http.Request, least, most string) (q Request, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, invalid("The query string is malformed")
	}
	switch v := query.Get("api-version"); {
	case v == "":
		return q, invalid("Required query variable 'api-version' is missing")
	case !version(v) || v < least || most != "" && v > most:
		return q, invalid("The requested api-version is not supported")
	}
	q.Resource = query.Get("resource")
	switch {
	case q.Resource == "":
		return q, invalid("Required query variable 'resource' is missing")
	case len(q.Resource) > maxResource || len(query["resource"]) > 1:
		return q, invalid("The query variable 'resource' is invalid")
	}
	q.Selector, err = readSelector(query)
	return q, err
}

// version says whether v has the form of a date.
func version(v string) bool {
	_, err := time.Parse(time.DateOnly, v)
	return err == nil
}

// readSelector reads the three ways to name an identity. A resource id and an
// object id have two spellings each, one of them App Service's.
func readSelector(query url.Values) (sel Selector, err error) {
	named := 0
	for _, p := range []struct {
		name string
		to   *string
	}{
		{"client_id", &sel.ClientID}, {"object_id", &sel.ObjectID}, {"principal_id", &sel.ObjectID},
		{"msi_res_id", &sel.ResourceID}, {"mi_res_id", &sel.ResourceID},
	} {
		values := query[p.name]
		if len(values) == 0 || len(values) == 1 && values[0] == "" {
			continue
		}
		if named++; named > 1 || len(values) > 1 {
			return Selector{}, invalid("Only one of client_id, object_id and msi_res_id may be given, once")
		}
		if len(values[0]) > maxSelector {
			return Selector{}, invalid("The query variable '" + p.name + "' is too long")
		}
		*p.to = values[0]
	}
	return sel, nil
}

// String is for logs.
func (s Selector) String() string {
	switch {
	case s.ClientID != "":
		return s.ClientID
	case s.ObjectID != "":
		return "object " + s.ObjectID
	case s.ResourceID != "":
		return s.ResourceID
	}
	return "default"
}
