package sts

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func FuzzUserScope(f *testing.F) {
	f.Add("https://management.example//.default offline_access openid profile")
	f.Add("User.Read email")
	f.Fuzz(func(t *testing.T, text string) {
		scope, err := readUserScope(text)
		if err != nil {
			if c := codeOf(err); c == nil || c.status != http.StatusBadRequest {
				t.Fatalf("readUserScope(%q): %v", text, err)
			}
			return
		}
		again, err := readUserScope(scope.granted())
		if err != nil || again.resource != scope.resource || again.openid != scope.openid {
			t.Fatalf("readUserScope(%q) grants %q, which is read as %+v, %v", text, scope.granted(), again, err)
		}
	})
}

// Whatever is presented, the Azure CLI's redirects lead to this machine.
func FuzzRedirect(f *testing.F) {
	for _, seed := range []string{"http://localhost:8400", "http://127.0.0.1/", "http://[::1]:1", "http://localhost:80@evil.example", "http://localhost:1/../x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		c := signInClient{id: "x"}
		if _, ok := c.redirects(uri); !ok {
			return
		}
		u, err := url.Parse(uri)
		if err != nil {
			if port := uri[strings.LastIndexByte(uri, ':')+1:]; strings.Trim(port, "0123456789/") == "" {
				return // a port out of range: it leads nowhere
			}
			t.Fatalf("%q: %v", uri, err)
		}
		host := u.Hostname()
		if u.Scheme != "http" || host != "localhost" && host != "127.0.0.1" && host != "::1" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
			t.Fatalf("%q is allowed, and leads to %s", uri, u)
		}
	})
}

func FuzzUserCode(f *testing.F) {
	f.Add("bcdf-ghj kl")
	f.Fuzz(func(t *testing.T, s string) {
		if got := readUserCode(s); readUserCode(got) != got && len(got) <= 4*userCodeLength {
			t.Fatalf("readUserCode(%q) = %q", s, got)
		}
		if code := newUserCode(); readUserCode(strings.ToLower(code)) != code {
			t.Fatalf("%q cannot be typed", code)
		}
	})
}
