package imds

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Identity is one that a workload may ask for by other names than its client
// id. A token service knows client ids only, so who runs the sidecar says which
// client an object id or a resource id means.
type Identity struct {
	ClientID   string
	ObjectID   string
	ResourceID string
}

// ParseIdentity reads client-id=ID[,object-id=ID][,resource-id=ID].
func ParseIdentity(s string) (Identity, error) {
	var i Identity
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		to, ok := map[string]*string{"client-id": &i.ClientID, "object-id": &i.ObjectID, "resource-id": &i.ResourceID}[name]
		if !ok || value == "" || *to != "" {
			return Identity{}, fmt.Errorf("identity %q: want client-id=ID[,object-id=ID][,resource-id=ID]", s)
		}
		*to = value
	}
	if i.ClientID == "" {
		return Identity{}, fmt.Errorf("identity %q: it has no client-id", s)
	}
	return i, nil
}

// SidecarConfig for NewSidecar.
type SidecarConfig struct {
	Authority *Authority // required
	TokenFile string     // the projected service account token; required
	// ClientID is whose token a request without a selector gets. Without one,
	// every request must name its identity.
	ClientID   string
	Identities []Identity
	Now        func() time.Time // default time.Now
}

// Sidecar exchanges a pod's projected token for what the pod asks for.
type Sidecar struct {
	c SidecarConfig
}

// NewSidecar checks the configuration. The token file need not be there yet.
func NewSidecar(c SidecarConfig) (*Sidecar, error) {
	if c.Authority == nil || c.TokenFile == "" {
		return nil, errors.New("imds: Authority and TokenFile are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sidecar{c: c}, nil
}

// Token reads the file anew, because the kubelet replaces it, and exchanges it.
func (s *Sidecar) Token(ctx context.Context, q Request) (Token, error) {
	clientID, err := s.choose(q.Selector)
	if err != nil {
		return Token{}, err
	}
	assertion, err := s.assertion()
	if err != nil {
		return Token{}, errors.Join(unavailable("The workload's token cannot be read"), err)
	}
	return s.c.Authority.Exchange(ctx, clientID, q.Resource, assertion)
}

// choose finds the client. An identity that cannot be resolved is refused: the
// default one's token would be another identity's than the workload asked for.
func (s *Sidecar) choose(sel Selector) (string, error) {
	switch {
	case sel.ClientID != "":
		return sel.ClientID, nil
	case sel.ObjectID != "":
		for _, i := range s.c.Identities {
			if strings.EqualFold(i.ObjectID, sel.ObjectID) {
				return i.ClientID, nil
			}
		}
		return "", NotFound("No identity of this workload is known by this object_id: name it with --identity, or ask by client_id")
	case sel.ResourceID != "":
		for _, i := range s.c.Identities {
			if strings.EqualFold(i.ResourceID, sel.ResourceID) {
				return i.ClientID, nil
			}
		}
		return "", NotFound("No identity of this workload is known by this resource id: name it with --identity, or ask by client_id")
	case s.c.ClientID == "":
		return "", NotFound("This workload has no default identity: annotate its service account, or ask by client_id")
	}
	return s.c.ClientID, nil
}

const maxTokenFile = 64 << 10

func (s *Sidecar) assertion() (string, error) {
	f, err := os.Open(s.c.TokenFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	switch b = bytes.TrimSpace(b); {
	case err != nil:
		return "", err
	case len(b) > maxTokenFile:
		return "", fmt.Errorf("%s: larger than %d KiB", s.c.TokenFile, maxTokenFile>>10)
	case len(b) == 0:
		return "", fmt.Errorf("%s: empty", s.c.TokenFile)
	}
	return string(b), nil
}

// Ready says why no token can be had now. It looks at the workload's own token
// only: an authority that is away for a moment must not take a pod that holds
// its access tokens out of service.
func (s *Sidecar) Ready(context.Context) error {
	assertion, err := s.assertion()
	if err != nil {
		return fmt.Errorf("the workload's token cannot be read: %w", err)
	}
	expires, err := expiry(assertion)
	if err != nil {
		return fmt.Errorf("%s: %w", s.c.TokenFile, err)
	}
	if !s.c.Now().Before(expires) {
		return fmt.Errorf("%s: the token expired at %s", s.c.TokenFile, expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// expiry reads a JWT's exp, of a token that is nobody's to verify here.
func expiry(token string) (time.Time, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, errors.New("not a token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, errors.New("not a token")
	}
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires <= 0 || claims.Expires > 1<<40 {
		return time.Time{}, errors.New("a token without a sound exp")
	}
	return time.Unix(int64(claims.Expires), 0), nil
}
