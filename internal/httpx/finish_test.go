package httpx_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/obs"
)

// How a request ends is told once, before the answer begins; when that fails, no
// other answer is given.
func TestFinishComesBeforeTheAnswer(t *testing.T) {
	handlers := map[string]func(http.ResponseWriter, *http.Request) error{
		"body": func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("ETag", `"1"`)
			return httpx.WriteJSON(w, http.StatusCreated, "done")
		},
		"status":  func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(204); return nil },
		"nothing": func(http.ResponseWriter, *http.Request) error { return nil },
		"refused": func(http.ResponseWriter, *http.Request) error { return apierr.New(apierr.NotFound, "no") },
		"panic":   func(http.ResponseWriter, *http.Request) error { panic("x") },
	}
	told := map[string]string{"body": "201 ", "status": "204 ", "nothing": "200 ", "refused": "404 Testnot_found", "panic": "500 Testinternal"}
	for name, handle := range handlers {
		for _, fails := range []bool{false, true} {
			var got []string
			answer := httptest.NewRecorder()
			edge := newEdge(t, httpx.Config{Log: slog.New(slog.DiscardHandler), Finish: func(ctx context.Context, status int, code string) error {
				got = append(got, fmt.Sprint(status, " ", code))
				if answer.Body.Len() > 0 || obs.RequestFrom(ctx).ID == "" || ctx.Err() != nil {
					t.Errorf("%s: told after %q was sent, of request %q, %v", name, answer.Body, obs.RequestFrom(ctx).ID, ctx.Err())
				}
				if fails {
					return apierr.New(apierr.Throttled, "no record") // which the test's surface has a status for
				}
				return nil
			}}, httpx.Route{Pattern: "POST /x", Op: "x", MaxBody: httpx.NoBody, Timeout: time.Second, Handle: func(w http.ResponseWriter, r *http.Request) error {
				obs.RequestFrom(r.Context()).Act = "begun"
				return handle(w, r)
			}})
			edge.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "POST", "https://"+vaultHost+"/x", nil))
			if len(got) != 1 || got[0] != told[name] {
				t.Errorf("%s: told %q, want %q once", name, got, told[name])
			}
			want := told[name][:3]
			if fails {
				want = "429"
			}
			if status := fmt.Sprint(answer.Code); status != want || fails && answer.Header().Get("ETag") != "" {
				t.Errorf("%s, fails %v: answered %s with ETag %q, want %s", name, fails, status, answer.Header().Get("ETag"), want)
			}
		}
	}
}

func TestReadsAreNotFinished(t *testing.T) {
	edge := newEdge(t, httpx.Config{Log: slog.New(slog.DiscardHandler), Finish: func(context.Context, int, string) error {
		t.Error("told of a request that was let begin nothing")
		return nil
	}}, httpx.Route{Pattern: "GET /x", Op: "x", MaxBody: httpx.NoBody, Timeout: time.Second, Handle: func(w http.ResponseWriter, _ *http.Request) error {
		return httpx.WriteJSON(w, 200, "x")
	}})
	edge.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "https://"+vaultHost+"/x", nil))
}
