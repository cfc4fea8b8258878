package manage

import (
	"strings"

	"github.com/lanyard-io/lanyard/internal/shell"
)

// Differs says in what a credential is not the wanted one, and the flags of the command
// line that would change it; both are empty when it is.
func (p CredentialProperties) Differs(want CredentialProperties) (how, flags string) {
	differ := func(what, flag, has, wants string) {
		if has == wants {
			return
		}
		if how == "" {
			how = "the " + what + " " + has
		}
		if wants != "" {
			flags += " --" + flag + " " + shell.Quote(wants)
		}
	}
	match := func(e *Expression) string {
		if e == nil {
			return ""
		}
		return e.Value
	}
	differ("issuer", "issuer", p.Issuer, want.Issuer)
	if p.Expression != nil {
		differ("expression", "match", match(p.Expression), match(want.Expression))
		differ("subject", "subject", p.Subject, want.Subject)
	} else {
		differ("subject", "subject", p.Subject, want.Subject)
		differ("expression", "match", "", match(want.Expression))
	}
	differ("audience", "audience", strings.Join(p.Audiences, " "), strings.Join(want.Audiences, " "))
	return how, flags
}
