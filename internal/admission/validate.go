package admission

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
)

const maxPEM = 64 << 10

// Validate tells every fault of the configuration at once.
func (c *Config) Validate() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkURL(c.Authority); err != nil {
		add("authority %q: %w", c.Authority, err)
	}
	if c.TenantID != "" && !tenantLike(c.TenantID) {
		add("tenant %q is neither a GUID nor adfs", c.TenantID)
	}
	switch c.Layout {
	case "", LayoutV16, LayoutV15, LayoutBoth:
	default:
		add("token layout %q is none of %s, %s and %s", c.Layout, LayoutV16, LayoutV15, LayoutBoth)
	}
	if c.Trust != nil {
		faults = append(faults, c.Trust.validate())
	}
	if c.TokenProxy != nil {
		faults = append(faults, c.TokenProxy.validate(c.audience()))
	}
	faults = append(faults, c.Sidecar.validate())
	for _, a := range c.HostAliases {
		if _, err := netip.ParseAddr(a.IP); err != nil || len(a.Hostnames) == 0 {
			add("host alias %q needs an address and names", a.IP)
		}
	}
	return errors.Join(faults...)
}

func (t *Trust) validate() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf("trust: "+format, args...)) }
	if count(len(t.PEM) > 0, t.ConfigMap != "", t.Bundle != "", t.Signer != "") != 1 {
		add("set exactly one of PEM, config map, cluster trust bundle and signer")
	}
	if len(t.PEM) > 0 {
		if err := checkPEM(t.PEM); err != nil {
			add("%w", err)
		}
	}
	if len(t.Selector) > 0 && t.Signer == "" {
		add("a label selector needs a signer")
	}
	if err := checkObject(t.Selector); err != nil {
		add("label selector: %w", err)
	}
	if t.JavaConfigMapKey != "" && t.JavaConfigMap == "" {
		add("a key of Java's config map needs its name")
	}
	for _, name := range t.Env {
		if !variableName.MatchString(name) {
			add("%q is no name for a variable", name)
		}
	}
	return errors.Join(faults...)
}

func (t *TokenProxy) validate(audience string) error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf("token proxy: "+format, args...)) }
	if !suffixName.MatchString(t.Suffix) {
		add("annotation suffix %q: use letters, digits, - and . (up to 40)", t.Suffix)
	}
	if t.Audience == "" || t.Audience == audience {
		add("needs an audience of its own, other than %q", audience)
	}
	if err := checkURL(t.URL); err != nil {
		add("URL %q: %w", t.URL, err)
	}
	if count(t.CAData != "", t.CAConfigMap != "", t.CASigner != "") > 1 {
		add("set at most one of CA data, config map and signer")
	}
	if t.CAData != "" {
		if err := checkPEM([]byte(t.CAData)); err != nil {
			add("%w", err)
		}
	}
	if len(t.CASelector) > 0 && t.CASigner == "" {
		add("a label selector needs a signer")
	}
	if err := checkObject(t.CASelector); err != nil {
		add("label selector: %w", err)
	}
	return errors.Join(faults...)
}

func (s *Sidecar) validate() error {
	switch s.Mode {
	case "", SidecarRedirect, SidecarEnv:
	default:
		return fmt.Errorf("sidecar: mode %q is neither %s nor %s", s.Mode, SidecarRedirect, SidecarEnv)
	}
	if err := checkObject(s.Resources); err != nil {
		return fmt.Errorf("sidecar: resources: %w", err)
	}
	if s.RunAsUser < 0 {
		return fmt.Errorf("sidecar: user %d", s.RunAsUser)
	}
	return nil
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	suffixName   = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,38}[a-z0-9])?$`)
)

func count(set ...bool) (n int) {
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("not a URL")
	case u.Scheme != "https" || u.Host == "":
		return errors.New("needs https:// and a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must have no user, query or fragment")
	}
	return nil
}

func checkPEM(b []byte) error {
	if len(b) > maxPEM {
		return fmt.Errorf("the certificates take %d bytes, more than %d: use a config map", len(b), maxPEM)
	}
	certificates := 0
	for rest := b; ; certificates++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("a PEM block is a %s, not a certificate", block.Type)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("reading a certificate: %w", err)
		}
	}
	if certificates == 0 {
		return errors.New("no certificate in the PEM")
	}
	return nil
}

func checkObject(b json.RawMessage) error {
	if len(b) == 0 {
		return nil
	}
	if !json.Valid(b) || !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return errors.New("not a JSON object")
	}
	return nil
}

// isGUID tells a GUID in its usual form, of either case.
func isGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch b := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if b != '-' {
				return false
			}
		case b >= '0' && b <= '9', b >= 'a' && b <= 'f', b >= 'A' && b <= 'F':
		default:
			return false
		}
	}
	return true
}

func tenantLike(s string) bool { return s == "adfs" || isGUID(s) }
