package sts

import (
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/names"
	"github.com/lanyard-io/lanyard/internal/signin"
)

// Every grant and every proof is announced, documented, and explained.
func TestTablesAreWhole(t *testing.T) {
	n, err := names.New(names.Config{Address: "lanyard.test:8443"})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/API-COVERAGE.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := func(name string) {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/API-COVERAGE.md does not name %s", name)
		}
	}
	announced := (&Server{names: n}).describe(documentKey{family: n.Own()})
	for _, g := range grants {
		documented(g.name)
		if !slices.Contains(announced.GrantTypes, g.name) || grantOf(g.name) != g {
			t.Errorf("the grant %s is not announced, or not found by its name", g.name)
		}
		if g.find == nil || g.people != (g.reason != "") {
			t.Errorf("the grant %s has no find, or nothing says why there is a token", g.name)
		}
	}
	for _, p := range proofs {
		documented(p.name)
		for _, m := range p.methods {
			documented(m)
			if !slices.Contains(announced.AuthMethods, m) {
				t.Errorf("%s: %s is not announced", p.name, m)
			}
		}
		if len(p.methods) == 0 || p.takes == nil || p.find == nil || p.acr == "" || p.reason == "" {
			t.Errorf("the row of %s has gaps: %+v", p.name, p)
		}
		if p.parameter == parameterAssertion {
			explains(t, p)
		}
	}
}

// explains checks that a refusal of an assertion, for each reason that parsing can
// find, has a code and a note in the record.
func explains(t *testing.T, p *proof) {
	codes := maps.Clone(assertionCodes)
	maps.Copy(codes, p.codes)
	for reason := range codes {
		if n, ok := reasonNotes[reason]; !ok || n.differed == "" && n.hint == "" {
			t.Errorf("%s: nothing explains %s", p.name, reason)
		}
	}
	q := &request{proof: p, form: map[string][]string{"client_assertion_type": {assertionTypeJWT}, parameterAssertion: {"x.y.z"}}}
	_, err := p.takes(q)
	if c := codeOf(err); c == nil || c.status >= http.StatusInternalServerError || q.record.Hint == "" || c != codeAssertionMalformed {
		t.Errorf("%s: what is no token gives %v, hint %q", p.name, err, q.record.Hint)
	}
}

// Every reason for which package signin lets nobody in has a code and words.
func TestSignInsAreExplained(t *testing.T) {
	for _, reason := range []signin.Reason{
		signin.Wrong, signin.TooMany, signin.Disabled, signin.MustChange, signin.Locked, signin.Revoked, signin.Expired, signin.Unknown,
	} {
		err := refuseSignIn(&signin.Refusal{Reason: reason, Detail: "Because.", Wait: time.Second})
		if reason == signin.TooMany {
			if apierr.KindOf(err) != apierr.Throttled {
				t.Errorf("%s: %v", reason, err)
			}
			continue
		}
		if c := codeOf(err); c == nil || c.oauth != "invalid_grant" || len(apierr.Detail(err)) < 30 || !strings.HasSuffix(apierr.Detail(err), " Because.") {
			t.Errorf("%s: %v", reason, err)
		}
	}
}
