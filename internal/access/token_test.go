package access

import (
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
)

// authenticator trusts what follows "signed." to be the claims.
func authenticator(t testing.TB) *Authenticator {
	t.Helper()
	n, err := names.New(names.Config{Address: "example.org", Azure: true})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(token string) (string, error) {
		switch claims, ok := strings.CutPrefix(token, "signed."); {
		case ok:
			return claims, nil
		case token == "later":
			return "", apierr.New(apierr.Unavailable, "no keys yet")
		}
		return "", errors.New("no such signature: " + token)
	}
	return &Authenticator{Verify: verify, Names: n, TenantID: tenant, Now: func() time.Time { return noon }}
}

func goodClaims() Claims {
	return Claims{
		Audience: "https://vault.example.org", Issuer: "https://login.example.org/" + tenant + "/",
		NotBefore: noon.Unix(), Expires: noon.Add(time.Hour).Unix(), AppID: "app", Type: "app",
		ObjectID: "oid", TenantID: tenant, TokenID: "uti", IdentityID: "/id", Name: "name",
	}
}

func TestAuthenticate(t *testing.T) {
	a := authenticator(t)
	tests := []struct {
		name   string
		change func(*Claims)
		want   TokenReason // empty: accepted
	}{
		{"good", func(*Claims) {}, ""},
		{"trailing-slash", func(c *Claims) { c.Audience += "/" }, ""},
		{"microsofts-names", func(c *Claims) {
			c.Audience, c.Issuer = "https://vault.azure.net", "https://sts.windows.net/"+tenant+"/"
		}, ""},
		{"another-surface", func(c *Claims) { c.Audience = "https://management.example.org" }, TokenAudience},
		{"no-audience", func(c *Claims) { c.Audience = "" }, TokenAudience},
		{"another-tenant", func(c *Claims) { c.TenantID = model.NewUUID() }, TokenForeign},
		{"another-tenants-issuer", func(c *Claims) { c.Issuer = "https://login.example.org/other/" }, TokenForeign},
		{"expires-now", func(c *Claims) { c.Expires = noon.Unix() }, TokenExpired},
		{"never-expires", func(c *Claims) { c.Expires = 0 }, TokenExpired},
		{"a-clock-ahead", func(c *Claims) { c.NotBefore = noon.Add(tokenSkew).Unix() }, ""},
		{"not-yet", func(c *Claims) { c.NotBefore = noon.Add(tokenSkew + time.Second).Unix() }, TokenNotYet},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := goodClaims()
			tt.change(&c)
			b, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := authenticate(a, "Bearer signed."+string(b))
			if tt.want != "" {
				refused(t, err, tt.want)
				return
			}
			want := model.Caller{ObjectID: "oid", AppID: "app", TenantID: tenant, Issuer: c.Issuer, Type: "app", IdentityID: "/id", Name: "name", TokenID: "uti"}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("caller (-want +got), %v:\n%s", err, diff)
			}
		})
	}
}

func TestAuthenticateHeaders(t *testing.T) {
	a := authenticator(t)
	for header, want := range map[string]TokenReason{
		"": TokenMissing, "Bearer": TokenMissing, "Bearer  ": TokenMissing, "Basic abc": TokenMissing, "signed.{}": TokenMissing,
		"bearer forged": TokenSignature, "Bearer signed.[]": TokenMalformed, `Bearer signed.{"exp":"x"}`: TokenMalformed,
	} {
		_, err := authenticate(a, header)
		refused(t, err, want)
		if strings.Contains(err.Error(), "forged") {
			t.Errorf("the error shows the token: %v", err)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{"Bearer signed.{}", "Bearer signed.{}"}
	_, err := a.Authenticate(r, names.Vault)
	refused(t, err, TokenMissing)
	if _, err := authenticate(a, "Bearer later"); apierr.KindOf(err) != apierr.Unavailable {
		t.Errorf("without keys: %v, want kind unavailable", err)
	}
}

func authenticate(a *Authenticator, header string) (model.Caller, error) {
	r := httptest.NewRequest("GET", "/", nil)
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	return a.Authenticate(r, names.Vault)
}

func refused(t *testing.T, err error, want TokenReason) {
	t.Helper()
	e, ok := errors.AsType[*TokenError](err)
	if !ok || e.Reason != want || apierr.KindOf(err) != apierr.Unauthenticated {
		t.Errorf("error %v of kind %v, want reason %s", err, apierr.KindOf(err), want)
	}
}

func FuzzAuthenticate(f *testing.F) {
	f.Add(`Bearer signed.{"aud":"https://vault.example.org","tid":"` + tenant + `","iss":"/` + tenant + `/","exp":9999999999}`)
	f.Fuzz(func(t *testing.T, header string) {
		caller, err := authenticate(authenticator(t), header)
		if err == nil && caller.TenantID != tenant {
			t.Fatalf("%q gives %+v", header, caller)
		}
	})
}
