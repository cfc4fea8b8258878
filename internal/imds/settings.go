package imds

import (
	"errors"
	"fmt"
)

// Settings are a sidecar's as an operator writes them. What the webhook injects into
// every container says who the workload is.
type Settings struct {
	Port                int // on loopback
	TokenFile, ClientID string
	TenantID, Authority string
	Identities          []string // as ParseIdentity takes them
}

// Sidecar says of every fault at once what is wrong.
func (s *Settings) Sidecar() (*Sidecar, error) {
	var faults []error
	for _, f := range []struct{ flag, value string }{
		{"token-file", s.TokenFile}, {"tenant-id", s.TenantID}, {"authority-host", s.Authority},
	} {
		if f.value == "" {
			faults = append(faults, fmt.Errorf("--%s is not set", f.flag))
		}
	}
	if s.Port < 0 || s.Port > 65535 {
		faults = append(faults, fmt.Errorf("port %d: want 1 to 65535, or 0 for any free one", s.Port))
	}
	c := SidecarConfig{TokenFile: s.TokenFile, ClientID: s.ClientID}
	for _, text := range s.Identities {
		i, err := ParseIdentity(text)
		faults = append(faults, err)
		c.Identities = append(c.Identities, i)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	var err error
	if c.Authority, err = NewAuthority(AuthorityConfig{Host: s.Authority, TenantID: s.TenantID}); err != nil {
		return nil, err
	}
	return NewSidecar(c)
}
