package imds_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/imds"
)

// authority answers like a token service: what it gets is in form.
type authority struct {
	*httptest.Server
	form   map[string]string
	path   string
	status int
	answer string
	header http.Header
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{status: 200, answer: `{"access_token":"t","token_type":"Bearer","expires_in":86399}`}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		a.path, a.form = r.URL.Path, map[string]string{}
		for k, v := range r.PostForm {
			a.form[k] = strings.Join(v, "|")
		}
		for k, v := range a.header {
			w.Header()[k] = v
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.answer)
	}))
	t.Cleanup(a.Close)
	return a
}

func newSidecar(t *testing.T, a *authority, c imds.SidecarConfig) *imds.Sidecar {
	t.Helper()
	var err error
	if c.Authority, err = imds.NewAuthority(imds.AuthorityConfig{Host: a.URL + "/", TenantID: "tenant", HTTP: a.Client()}); err != nil {
		t.Fatal(err)
	}
	s, err := imds.NewSidecar(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func jwt(expires time.Time) string {
	return "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, expires.Unix())) + ".c2ln"
}

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSidecarExchangesTheProjectedToken(t *testing.T) {
	a := newAuthority(t)
	path := tokenFile(t, "first\n")
	s := newSidecar(t, a, imds.SidecarConfig{TokenFile: path, ClientID: "default", Identities: []imds.Identity{
		{ClientID: "other", ObjectID: "OBJ", ResourceID: "/subscriptions/s/x/Y"},
	}})
	for selector, want := range map[imds.Selector]string{
		{}:                                   "default",
		{ClientID: "named"}:                  "named",
		{ObjectID: "obj"}:                    "other",
		{ResourceID: "/Subscriptions/S/x/y"}: "other",
	} {
		tok, err := s.Token(t.Context(), imds.Request{Resource: "https://r/", Selector: selector})
		if err != nil || tok.Value != "t" || tok.ClientID != want || time.Until(tok.Expires) < 23*time.Hour {
			t.Errorf("%v: %+v, %v", selector, tok, err)
		}
		if a.path != "/tenant/oauth2/v2.0/token" || a.form["client_id"] != want || a.form["scope"] != "https://r//.default" || a.form["client_assertion"] != "first" || a.form["grant_type"] != "client_credentials" {
			t.Errorf("%v: sent %s %v", selector, a.path, a.form)
		}
	}
	if err := os.WriteFile(path, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context(), imds.Request{Resource: "r"}); err != nil || a.form["client_assertion"] != "second" {
		t.Errorf("the kubelet's new token is not used: %v", err)
	}
	for _, selector := range []imds.Selector{{ObjectID: "unknown"}, {ResourceID: "/unknown"}} {
		a.form = nil
		_, err := s.Token(t.Context(), imds.Request{Resource: "r", Selector: selector})
		if e, ok := errors.AsType[*imds.Error](err); !ok || e.Status != 400 || !strings.HasPrefix(e.Detail, "Identity not found") || a.form != nil {
			t.Errorf("%v: %v", selector, err)
		}
	}
}

func TestSidecarPassesRefusalsOn(t *testing.T) {
	a := newAuthority(t)
	s := newSidecar(t, a, imds.SidecarConfig{TokenFile: tokenFile(t, "x")})
	if _, err := s.Token(t.Context(), imds.Request{Resource: "r"}); err == nil || !strings.Contains(err.Error(), "no default identity") {
		t.Errorf("without a default identity: %v", err)
	}
	for name, test := range map[string]struct {
		status  int
		answer  string
		want    int
		mention string
	}{
		"mismatch":      {401, `{"error":"invalid_client","error_description":"AADSTS700213: no"}`, 400, "AADSTS700213"},
		"no-client":     {400, `{"error":"unauthorized_client","error_description":"AADSTS700016: no"}`, 400, "Identity not found. AADSTS700016"},
		"throttled":     {429, `{"error":"temporarily_unavailable","error_description":"AADSTS90025: later"}`, 429, "AADSTS90025"},
		"down":          {503, `busy`, 503, "answers 503"},
		"redirect":      {302, ``, 400, "answers 302"},
		"no-token":      {200, `{}`, 503, "no token"},
		"no-expiry":     {200, `{"access_token":"t"}`, 503, "expires_in"},
		"endless-token": {200, `{"access_token":"t","expires_in":1e300}`, 503, "expires_in"},
		"not-json":      {200, `<html>`, 503, "no token"},
	} {
		t.Run(name, func(t *testing.T) {
			a.status, a.answer = test.status, test.answer
			a.header = http.Header{"Retry-After": {"7"}, "Location": {"https://elsewhere.example/"}}
			_, err := s.Token(t.Context(), imds.Request{Resource: "r", Selector: imds.Selector{ClientID: "c"}})
			e, ok := errors.AsType[*imds.Error](err)
			if !ok || e.Status != test.want || !strings.Contains(e.Detail, test.mention) {
				t.Errorf("got %+v, want %d … %s", err, test.want, test.mention)
			}
			if ok && e.Status == 429 && e.RetryAfter != "7" {
				t.Errorf("Retry-After is %q", e.RetryAfter)
			}
		})
	}
	a.Close()
	_, err := s.Token(t.Context(), imds.Request{Resource: "r", Selector: imds.Selector{ClientID: "c"}})
	if e, ok := errors.AsType[*imds.Error](err); !ok || e.Status != 503 {
		t.Errorf("an authority that is away: %v", err)
	}
}

func TestSidecarIsReadyWithAToken(t *testing.T) {
	a := newAuthority(t)
	for name, test := range map[string]struct {
		text, mention string
	}{
		"valid":     {jwt(time.Now().Add(time.Hour)), ""},
		"expired":   {jwt(time.Now().Add(-time.Hour)), "expired"},
		"empty":     {" \n", "empty"},
		"no-token":  {"hello", "not a token"},
		"no-expiry": {"e30.e30.c2ln", "exp"},
		"huge":      {strings.Repeat("x", 70<<10), "larger"},
	} {
		err := newSidecar(t, a, imds.SidecarConfig{TokenFile: tokenFile(t, test.text)}).Ready(t.Context())
		if (err == nil) != (test.mention == "") || err != nil && !strings.Contains(err.Error(), test.mention) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := newSidecar(t, a, imds.SidecarConfig{TokenFile: "/nowhere"}).Ready(t.Context()); err == nil {
		t.Error("ready without a token file")
	}
}

func TestAuthorityIsChecked(t *testing.T) {
	for _, c := range []imds.AuthorityConfig{
		{Host: "http://login.example/", TenantID: "t"}, {Host: "https://", TenantID: "t"}, {Host: "https://u@h/", TenantID: "t"},
		{Host: "https://h/?q", TenantID: "t"}, {Host: "https://h/"}, {Host: "https://h/", TenantID: "a/b"},
	} {
		if _, err := imds.NewAuthority(c); err == nil {
			t.Errorf("%+v: accepted", c)
		}
	}
}
