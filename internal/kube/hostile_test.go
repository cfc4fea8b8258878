package kube_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
)

// hostile is a cluster whose API server is not one: it may be anybody's, because
// people attach clusters that they run themselves.
func hostile(t *testing.T, serve http.HandlerFunc) *kube.Cluster {
	t.Helper()
	s := httptest.NewTLSServer(serve)
	t.Cleanup(s.Close)
	return connect(t, kubetest.KubeconfigOf(t, s.URL, s.Certificate(), "the-token"))
}

// calls is one call of each kind.
func calls(t *testing.T, k *kube.Cluster) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"raw":     func() error { _, err := k.Raw(ctx, "/openid/v1/jwks"); return err },
		"review":  func() error { _, err := k.ReviewToken(ctx, "t", []string{"a"}); return err },
		"account": func() error { _, err := k.Account(ctx, "default", "one"); return err },
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var reached atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		io.WriteString(w, `{"status":{"authenticated":true}}`)
	}))
	t.Cleanup(inside.Close)
	k := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL+"/latest/meta-data", http.StatusTemporaryRedirect)
	})
	for name, call := range calls(t, k) {
		if err := call(); !errors.Is(err, kube.ErrUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the redirect was followed %d times", n)
	}
}

func TestAnswerWithoutEndIsGivenUp(t *testing.T) {
	var sent atomic.Int64
	k := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"a":"`)
		for chunk := make([]byte, 1<<20); r.Context().Err() == nil; {
			for i := range chunk {
				chunk[i] = 'a'
			}
			n, err := w.Write(chunk)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	if _, err := k.Raw(t.Context(), "/version"); !errors.Is(err, kube.ErrUnreachable) {
		t.Errorf("Raw: %v", err)
	}
	if n := sent.Load(); n > 128<<20 {
		t.Errorf("read on for %d MiB", n>>20)
	}
}

func TestListWithoutEndIsGivenUp(t *testing.T) {
	k := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/api/v1" {
			io.WriteString(w, `{"resources":[{"name":"pods","kind":"Pod","namespaced":true}]}`)
			return
		}
		io.WriteString(w, `{"metadata":{"continue":"more"},"items":[{}]}`)
	})
	items, err := k.List(t.Context(), kube.Ref{APIVersion: "v1", Kind: "Pod"}, kube.ListOptions{})
	if err == nil {
		t.Errorf("List ended with %d items", len(items))
	}
}

func TestErrorsStayShort(t *testing.T) {
	k := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","code":403,"message":%q}`, "because"+strings.Repeat("x", 1<<20))
	})
	_, err := k.Raw(t.Context(), "/version")
	if !errors.Is(err, kube.ErrForbidden) || !strings.HasPrefix(err.Error(), "because") || len(err.Error()) > 8<<10 {
		t.Errorf("%d bytes: %.60v", len(err.Error()), err)
	}
}

// Names come from reviews, which anybody who reaches the webhook can send.
func TestNamesAreNoPaths(t *testing.T) {
	var asked atomic.Int64
	k := hostile(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/api/v1" {
			io.WriteString(w, `{"resources":[{"name":"pods","kind":"Pod","namespaced":true}]}`)
			return
		}
		asked.Add(1)
		io.WriteString(w, `{}`)
	})
	for _, at := range [][2]string{{"..", "secrets"}, {"default", "../../kube-system/secrets/x"}, {"default", ".."}, {"a/b", "c"}, {"default", "a%2fb"}} {
		if _, err := k.Account(t.Context(), at[0], at[1]); !errors.Is(err, kube.ErrNotFound) {
			t.Errorf("Account(%q): %v", at, err)
		}
		if _, err := k.Get(t.Context(), kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: at[0], Name: at[1]}); !errors.Is(err, kube.ErrNotFound) {
			t.Errorf("Get(%q): %v", at, err)
		}
		if _, err := k.CreateToken(t.Context(), kube.TokenRequest{Namespace: at[0], Account: at[1]}); !errors.Is(err, kube.ErrNotFound) {
			t.Errorf("CreateToken(%q): %v", at, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestForbiddenAddressesAreNotDialled(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "100.100.100.200", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]"} {
		k := connect(t, []byte(`{"apiVersion":"v1","kind":"Config","current-context":"c",
			"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],
			"clusters":[{"name":"c","cluster":{"server":"https://`+host+`"}}],"users":[{"name":"u","user":{"token":"t"}}]}`))
		for name, call := range calls(t, k) {
			if err := call(); !errors.Is(err, kube.ErrUnreachable) || !strings.Contains(err.Error(), "not allowed") {
				t.Errorf("%s: %s: %v", host, name, err)
			}
		}
	}
}

func TestErrorsRepeatNoForeignBody(t *testing.T) {
	const inside = "what-only-the-network-inside-may-see"
	for status, body := range map[int]string{
		500: inside, 404: "<h1>" + inside, 401: inside, 403: `{"message":"` + inside + `"}`, 422: inside,
		418: `{"kind":"Other","message":"` + inside + `"}`,
	} {
		k := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
		for name, call := range calls(t, k) {
			if err := call(); err == nil || strings.Contains(err.Error(), inside) {
				t.Errorf("%d: %s: %v", status, name, err)
			}
		}
	}
	k := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			io.WriteString(conn, "SSH-2.0-"+inside+"\r\n")
			conn.Close()
		}
	})
	if _, err := k.Raw(t.Context(), "/version"); err == nil || strings.Contains(err.Error(), inside) {
		t.Errorf("no HTTP: %v", err)
	}
}

// A document is asked of whatever answers at the address in a kubeconfig.
func TestDocumentsHaveLimits(t *testing.T) {
	const inside = "what-only-the-network-inside-may-see"
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"good":     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }, ""},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "/version answers 302"},
		"refused":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, inside, http.StatusTeapot) }, "/version answers 418"},
		"large":    {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(inside, 1<<14)) }, "/version answers more than 256 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			k := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/version" || r.Header.Get("Authorization") != "Bearer the-token" {
					t.Errorf("asked for %s with %q", r.URL, r.Header)
				}
				c.serve(w, r)
			})
			b, err := k.Document(t.Context(), "/version")
			if c.want == "" && (err != nil || string(b) != "{}") || c.want != "" && (err == nil || err.Error() != c.want) {
				t.Errorf("%.40q, %v; want the error %q", b, err, c.want)
			}
		})
	}
}
