package sts

import (
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// difference is one between an assertion and a client's credentials.
type difference struct {
	code       *code
	what       string // issuer, subject or audience
	presented  string
	registered []string // the values that were expected in its place
	differed   []string
	hint       string
}

// compare finds the first of issuer, subject and audience that no credential has.
func (s *Server) compare(q *request, all []*model.FederatedCredential, match *model.FederatedCredential) difference {
	t := q.assertion
	sameIssuer := slices.DeleteFunc(slices.Clone(all), func(f *model.FederatedCredential) bool { return f.Issuer != t.Issuer })
	var d difference
	switch {
	case len(sameIssuer) == 0:
		d = difference{code: codeFederatedIssuer, what: "issuer", presented: t.Issuer, registered: collect(all, issuerOf)}
		d.hint = issuerHint(t.Issuer, d.registered)
		d.differed = append(d.differed, "issuer")
		if !slices.Contains(collect(all, subjectOf), t.Subject) {
			d.differed = append(d.differed, "subject")
		}
	case match == nil:
		d = difference{code: codeFederatedSubject, what: "subject", presented: t.Subject, registered: collect(sameIssuer, subjectOf)}
		d.hint = subjectHint(t.Subject, d.registered)
		d.differed = append(d.differed, "subject")
		if slices.ContainsFunc(d.registered, func(r string) bool { return strings.EqualFold(r, t.Subject) }) {
			d.code = codeSubjectCase
		} else if strings.HasPrefix(t.Subject, templatedSubject) {
			d.code = codeSubjectTemplated
		}
	default:
		d = difference{code: codeFederatedAudience, what: "audience", presented: strings.Join(t.Audiences, ", "), registered: []string{audienceOf(match)}}
		d.hint = audienceHint(t.Audiences, d.registered)
	}
	if !slices.ContainsFunc(all, func(f *model.FederatedCredential) bool { return slices.Contains(t.Audiences, audienceOf(f)) }) || d.what == "audience" {
		d.differed = append(d.differed, "audience")
	}
	if !t.Expires.IsZero() && !s.now().Before(t.Expires) {
		d.differed = append(d.differed, "time")
	}
	return d
}

// templatedSubject begins the subjects that Entra itself makes for its applications.
const templatedSubject = "/eid1/c/"

func collect(all []*model.FederatedCredential, value func(*model.FederatedCredential) string) []string {
	values := make([]string, 0, len(all))
	for _, f := range all {
		values = append(values, value(f))
	}
	return values
}

func issuerOf(f *model.FederatedCredential) string { return f.Issuer }

func subjectOf(f *model.FederatedCredential) string {
	if f.Matching != nil {
		return f.Matching.Value
	}
	return f.Subject
}

// sentence is for the caller: the words that Entra's users search for, then
// what was registered.
func (d *difference) sentence() string {
	var b strings.Builder
	b.WriteString("No matching federated identity record found for presented assertion " + d.what + " " + quote(d.presented) + ". ")
	switch d.code {
	case codeSubjectCase:
		b.WriteString("The subject matches with case-insensitive comparison, but not with case-sensitive comparison. ")
	case codeSubjectTemplated:
		b.WriteString("It has the form of a subject that Entra ID makes for its own applications. ")
	}
	if len(d.registered) == 0 {
		b.WriteString("This client has no federated credentials.")
		return b.String()
	}
	b.WriteString("Registered: " + firstOf(d.registered) + ".")
	if len(d.differed) > 1 {
		b.WriteString(" Differing: " + strings.Join(d.differed, ", ") + ".")
	}
	if d.hint != "" {
		b.WriteString(" " + d.hint)
	}
	return b.String()
}

func issuerHint(presented string, registered []string) string {
	if len(registered) == 0 {
		return "Create a federated credential for this issuer and subject."
	}
	for _, r := range registered {
		switch {
		case r == presented+"/":
			return "The registered issuer ends with a slash, the assertion's does not: they must be equal."
		case r+"/" == presented:
			return "The assertion's issuer ends with a slash, the registered one does not: they must be equal."
		case strings.EqualFold(r, presented):
			return "The issuers differ in letter case only: they must be equal."
		}
	}
	return ""
}

func subjectHint(presented string, registered []string) string {
	account, ok := wi.ParseSubject(presented)
	for _, r := range registered {
		switch other, rok := wi.ParseSubject(r); {
		case strings.EqualFold(r, presented):
			return "The subjects differ in letter case only: they must be equal."
		case strings.TrimSpace(r) == strings.TrimSpace(presented):
			return "The subjects differ in white space only: they must be equal."
		case !ok || !rok:
		case other.Name == account.Name:
			return "The service account has the registered name, but is in namespace " + quote(account.Namespace) + ", not " + quote(other.Namespace) + "."
		case other.Namespace == account.Namespace:
			return "The namespace is the registered one, but the service account is " + quote(account.Name) + ", not " + quote(other.Name) + "."
		}
	}
	return ""
}

func audienceHint(presented, registered []string) string {
	for _, r := range registered {
		for _, p := range presented {
			if strings.EqualFold(strings.TrimSuffix(r, "/"), strings.TrimSuffix(p, "/")) {
				return "The audiences differ in letter case or a trailing slash only: they must be equal."
			}
		}
	}
	return "Request the token for the registered audience: for a pod, the audience of its projected volume."
}
