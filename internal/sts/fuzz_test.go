package sts

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

func FuzzScope(f *testing.F) {
	f.Add("https://vault.example//.default openid offline_access profile")
	f.Add("/.default")
	f.Fuzz(func(t *testing.T, scope string) {
		resource, err := resourceOf(scope)
		if err != nil {
			if c := codeOf(err); c == nil || c.status != http.StatusBadRequest {
				t.Fatalf("resourceOf(%q): %v", scope, err)
			}
			return
		}
		if !strings.Contains(scope, resource+"/.default") || strings.ContainsAny(resource, " \t\r\n\"\\") {
			t.Fatalf("resourceOf(%q) = %q", scope, resource)
		}
	})
}

func FuzzTokenForm(f *testing.F) {
	f.Add("grant_type=client_credentials&client_id=a&client_secret=b&scope=x%2F.default", "", false)
	f.Add("grant_type=password&client_id=a&scope=x%2F.default", "", false)
	f.Add("grant_type=client_credentials&client_id=a&client_assertion=a.b.c&resource=x&client_assertion_type="+assertionTypeJWT, "Basic YTpi", true)
	f.Fuzz(func(t *testing.T, body, authorization string, v1 bool) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", authorization)
		q := &request{endpoint: endpoint{v1: v1}}
		err := q.read(r)
		if err != nil {
			if apierr.KindOf(err) == apierr.Internal {
				t.Fatalf("reading %q: %v", body, err)
			}
			return
		}
		if q.clientID == "" || !q.grant.people && (q.scope.resource == "" || q.proof == nil) || (q.assertion != nil) != (q.proof != nil && q.proof != &secretProof) {
			t.Fatalf("reading %q passed with %+v", body, q)
		}
	})
}

func FuzzTenant(f *testing.F) {
	s := &Server{tenantID: "11111111-2222-3333-4444-555555555555", domain: "lanyard.test"}
	f.Add("common")
	f.Add("11111111-2222-3333-4444-555555555555")
	f.Fuzz(func(t *testing.T, segment string) {
		form, err := s.tenant(segment)
		if err == nil && !strings.EqualFold(segment, s.segment(form)) && !strings.EqualFold(segment, s.domain) {
			t.Fatalf("tenant(%q) = %q", segment, s.segment(form))
		}
	})
}

// A refusal repeats what was presented: it must stay one short, printable line.
func TestQuoteIsShortAndPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "in")
		q := quote(in + strings.Repeat("x", rapid.IntRange(0, 500).Draw(t, "more")))
		if len(q) > 4*maxShown || strings.ContainsAny(q, "\r\n\x00\x1b") {
			t.Fatalf("quote gives %q", q)
		}
	})
}
