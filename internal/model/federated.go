package model

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// maxClaim is the most bytes of a credential's issuer, subject, audience and description.
// https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations
const maxClaim = 600

// Validate says what is wrong with a federated credential's own fields, in a
// sentence for whoever wrote them.
func (f *FederatedCredential) Validate() error {
	if err := CheckIssuer(f.Issuer); err != nil {
		return fmt.Errorf("the issuer is invalid: %w", err)
	}
	switch {
	case len(f.Audiences) != 1:
		return fmt.Errorf("there must be exactly one audience, such as api://AzureADTokenExchange, not %d", len(f.Audiences))
	case !soundClaim(f.Audiences[0]):
		return fmt.Errorf("the audience must have 1 to %d printable characters", maxClaim)
	case f.Matching == nil && !soundClaim(f.Subject):
		return fmt.Errorf("the subject must have 1 to %d printable characters", maxClaim)
	case f.Matching != nil && f.Subject != "":
		return errors.New("there must be either a subject or a claimsMatchingExpression, not both")
	case f.Description != "" && !soundClaim(f.Description):
		return fmt.Errorf("the description must have up to %d printable characters", maxClaim)
	case f.Matching != nil && f.Matching.LanguageVersion != ExpressionVersion:
		return fmt.Errorf("the languageVersion of claimsMatchingExpression must be %d", ExpressionVersion)
	case f.Matching != nil:
		if _, err := ParseExpression(f.Matching.Value); err != nil {
			return fmt.Errorf("the claimsMatchingExpression is invalid: %w", err)
		}
	}
	return nil
}

func soundClaim(s string) bool {
	return s != "" && len(s) <= maxClaim && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}

// CheckIssuer wants an https URL whose discovery document can be found.
// https://openid.net/specs/openid-connect-core-1_0.html#IDToken
func CheckIssuer(s string) error {
	if !soundClaim(s) || strings.Contains(s, " ") {
		return fmt.Errorf("it must have 1 to %d printable characters and no spaces", maxClaim)
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("it must be an https URL")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#"):
		return errors.New("it must have no user, query or fragment")
	}
	return nil
}

// Same says whether two credentials of one client would take the same tokens.
func (f *FederatedCredential) Same(g *FederatedCredential) bool {
	if f.Issuer != g.Issuer || f.Subject != g.Subject || (f.Matching == nil) != (g.Matching == nil) {
		return false
	}
	return f.Matching == nil || *f.Matching == *g.Matching
}

// ObjectID is the credential's GUID where one is asked for. It is made from the
// key and the time of creation, so that a credential of the same name that is
// made later is another. https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8
func (f *FederatedCredential) ObjectID() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", f.Key(), f.System.CreatedAt.UnixNano()))
	b := [16]byte(sum[:16])
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return formatUUID(b)
}
