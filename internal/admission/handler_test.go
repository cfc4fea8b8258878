package admission

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sync/semaphore"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// directory is the service accounts of a test.
type directory map[string]Account

func (d directory) Account(ctx context.Context, namespace, name string) (Account, error) {
	switch name {
	case "broken":
		return Account{}, errors.New("dial tcp 10.0.0.1:443: secret detail")
	case "slow":
		<-ctx.Done()
		return Account{}, ctx.Err()
	case "panics":
		panic("secret detail")
	}
	a, ok := d[namespace+"/"+name]
	if !ok {
		return Account{}, fmt.Errorf("reading: %w", ErrNoAccount)
	}
	return a, nil
}

func handlerOf(change func(*HandlerConfig)) http.Handler {
	c := HandlerConfig{Current: config, Accounts: directory{"shop/web": account(wi.ClientIDAnnotation, clientID)}}
	if change != nil {
		change(&c)
	}
	return New(c)
}

// reviewOf makes an AdmissionReview of a pod.
func reviewOf(version, operation, pod string) string {
	return fmt.Sprintf(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/%s","request":{"uid":"u-1","kind":{"group":"","version":"v1","kind":"Pod"},
		"resource":{"group":"","version":"v1","resource":"pods"},"name":"web-1","namespace":"shop","operation":%q,"userInfo":{"username":"me"},
		"object":%s,"oldObject":null,"dryRun":false,"options":{}}}`, version, operation, pod)
}

// reply is what the API server reads of the answer.
type reply struct {
	APIVersion string
	Kind       string
	Response   struct {
		UID       string
		Allowed   bool
		Patch     string
		PatchType string
		Warnings  []string
		Status    struct {
			Code    int
			Reason  string
			Message string
		}
	}
}

func post(t testing.TB, h http.Handler, contentType string, body io.Reader) reply {
	t.Helper()
	r := httptest.NewRequest("POST", Path+"?timeout=10s", body)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("status %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	var got reply
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	if got.Kind != "AdmissionReview" {
		t.Fatalf("kind = %q", got.Kind)
	}
	return got
}

func TestReviewVersions(t *testing.T) {
	for _, version := range []string{"v1", "v1beta1"} {
		got := post(t, handlerOf(nil), "application/json; charset=utf-8", strings.NewReader(reviewOf(version, "CREATE", smallPod)))
		if got.APIVersion != "admission.k8s.io/"+version || got.Response.UID != "u-1" || !got.Response.Allowed || got.Response.PatchType != "JSONPatch" {
			t.Errorf("%s: %+v", version, got)
		}
		patch, err := base64.StdEncoding.DecodeString(got.Response.Patch)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Mutate(config(), []byte(smallPod), "shop", account(wi.ClientIDAnnotation, clientID))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want.JSON()), string(patch)); diff != "" {
			t.Errorf("%s: patch (-want +got):\n%s", version, diff)
		}
	}
}

func TestBadReviews(t *testing.T) {
	good := reviewOf("v1", "CREATE", smallPod)
	other := strings.Replace(smallPod, `"serviceAccountName":"web"`, `"serviceAccountName":"%s"`, 1)
	tests := []struct {
		name, contentType, body string
		code                    int
		want, outcome           string
	}{
		{"content-type", "text/plain", good, 400, `content type is "text/plain"`, "denied read"},
		{"no-content-type", "", good, 400, "content type", "denied read"},
		{"empty", "application/json", "", 400, "no body", "denied review"},
		{"truncated", "application/json", good[:len(good)-3], 400, "not valid JSON", "denied review"},
		{"other-kind", "application/json", `{"kind":"Pod","apiVersion":"v1"}`, 400, "not an AdmissionReview", "denied review"},
		{"array", "application/json", `[]`, 400, "the review is not an object", "denied review"},
		{"version", "application/json", strings.Replace(good, "io/v1", "io/v3", 1), 400, `"admission.k8s.io/v3" is not understood`, "denied review"},
		{"no-request", "application/json", `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, 400, "no request", "denied review"},
		{"no-object", "application/json", reviewOf("v1", "CREATE", "null"), 400, "no pod", "denied pod"},
		{"not-a-pod", "application/json", strings.Replace(good, `"kind":"Pod"}`, `"kind":"Node"}`, 1), 400, "not for Node", "denied review"},
		{"odd-pod", "application/json", reviewOf("v1", "CREATE", `{"spec":{"containers":7}}`), 400, "spec.containers is not an array", "denied pod"},
		{"large", "application/json", `{"x":"` + strings.Repeat("x", 7<<20) + `"}`, 413, "larger than 7340032 bytes", "denied read"},
		{"deep", "application/json", reviewOf("v1", "CREATE", strings.Repeat("[", 5000)+strings.Repeat("]", 5000)), 400, "nested deeper", "denied review"},
		{"no-account", "application/json", reviewOf("v1", "CREATE", fmt.Sprintf(other, "ghost")), 400, "namespace shop has no service account ghost: create it first", "denied account"},
		{"broken", "application/json", reviewOf("v1", "CREATE", fmt.Sprintf(other, "broken")), 500, "could not read service account broken: try again", "failed account"},
		{"panics", "application/json", reviewOf("v1", "CREATE", fmt.Sprintf(other, "panics")), 500, "internal error", "failed panic"},
		{"expiration", "application/json", reviewOf("v1", "CREATE", strings.Replace(smallPod, `"labels"`, `"annotations":{"`+wi.ExpirationAnnotation+`":"1"},"labels"`, 1)), 400, "write whole seconds", "denied values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			m := NewMetrics()
			h := handlerOf(func(c *HandlerConfig) { c.Metrics, c.Log = m, slog.New(slog.NewTextHandler(&log, nil)) })
			got := post(t, h, tt.contentType, strings.NewReader(tt.body)).Response
			if got.Allowed || got.Status.Code != tt.code || !strings.Contains(got.Status.Message, tt.want) {
				t.Errorf("response = %+v, want %d %q", got, tt.code, tt.want)
			}
			if strings.Contains(got.Status.Message, "secret detail") {
				t.Errorf("the answer leaks: %s", got.Status.Message)
			}
			outcome, reason, _ := strings.Cut(tt.outcome, " ")
			if !strings.Contains(log.String(), "outcome="+outcome+" reason="+reason) {
				t.Errorf("log = %s", log.String())
			}
			if testutil.CollectAndCount(m.requests) != 1 {
				t.Error("not counted")
			}
		})
	}
}

func TestChunkedAndBroken(t *testing.T) {
	large := post(t, handlerOf(nil), "application/json", io.MultiReader(strings.NewReader(strings.Repeat(" ", 8<<20))))
	if large.Response.Status.Code != 413 {
		t.Errorf("without a length: %+v", large.Response)
	}
	broken := post(t, handlerOf(nil), "application/json", io.MultiReader(strings.NewReader("{"), iotest.ErrReader(errors.New("secret detail"))))
	if broken.Response.Status.Code != 400 || broken.Response.Status.Message != "the review did not arrive whole" {
		t.Errorf("broken off: %+v", broken.Response)
	}
}

func TestSelectionIsCheckedAgain(t *testing.T) {
	unlabelled := strings.Replace(smallPod, `"labels":{"azure.workload.identity/use":"true"}`, `"labels":null`, 1)
	refused := strings.Replace(smallPod, `use":"true"`, `use":"false"`, 1)
	tests := []struct {
		name, operation, pod string
		optIn, patched       bool
	}{
		{"labelled", "CREATE", smallPod, false, true},
		{"update", "UPDATE", smallPod, false, false},
		{"no-label", "CREATE", unlabelled, false, false},
		{"label-false", "CREATE", refused, false, false},
		{"namespace-selected", "CREATE", unlabelled, true, true},
		{"namespace-selected-false", "CREATE", refused, true, false},
		{"mirror", "CREATE", strings.Replace(smallPod, `"labels"`, `"annotations":{"kubernetes.io/config.mirror":"x"},"labels"`, 1), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := handlerOf(func(c *HandlerConfig) {
				c.Current = func() *Config { c := config(); c.Unlabelled = tt.optIn; return c }
			})
			got := post(t, h, "application/json", strings.NewReader(reviewOf("v1", tt.operation, tt.pod))).Response
			if !got.Allowed || (got.Patch != "") != tt.patched {
				t.Errorf("response = %+v", got)
			}
		})
	}
}

func TestFederationWarning(t *testing.T) {
	tests := []struct {
		name      string
		known, ok bool
		want      int
	}{{"known", true, true, 0}, {"unknown", false, true, 1}, {"cannot-tell", false, false, 0}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := handlerOf(func(c *HandlerConfig) {
				c.Federated = func(_ context.Context, id, subject string) (bool, bool) {
					if id != clientID || subject != "system:serviceaccount:shop:web" {
						t.Errorf("asked for %s, %s", id, subject)
					}
					return tt.known, tt.ok
				}
			})
			got := post(t, h, "application/json", strings.NewReader(reviewOf("v1", "CREATE", smallPod))).Response
			if len(got.Warnings) != tt.want || tt.want == 1 && !strings.Contains(got.Warnings[0], "no federated credential of identity "+clientID) {
				t.Errorf("warnings = %q", got.Warnings)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := strings.Replace(smallPod, `"serviceAccountName":"web"`, `"serviceAccountName":"slow"`, 1)
		start := time.Now()
		got := post(t, handlerOf(nil), "application/json", strings.NewReader(reviewOf("v1", "CREATE", slow))).Response
		if got.Allowed || got.Status.Code != 500 || time.Since(start) != 5*time.Second {
			t.Errorf("after %v: %+v", time.Since(start), got)
		}
	})
}

func TestLargeReviewsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := semaphore.NewWeighted(MaxMemory)
		h := handlerOf(func(c *HandlerConfig) { c.Memory = memory })
		large := strings.Replace(smallPod, `"labels"`, `"annotations":{"note":"`+strings.Repeat("x", maxSmall)+`"},"labels"`, 1)
		review := func(pod string) reply {
			return post(t, h, "application/json", strings.NewReader(reviewOf("v1", "CREATE", pod)))
		}
		if err := memory.Acquire(t.Context(), MaxMemory); err != nil {
			t.Fatal(err)
		}
		if got := review(smallPod).Response; !got.Allowed {
			t.Errorf("a small one beside large ones: %+v", got)
		}
		got := review(large).Response
		if got.Allowed || got.Status.Code != 500 || !strings.Contains(got.Status.Message, "too many large reviews") {
			t.Errorf("one too many: %+v", got)
		}
		time.AfterFunc(time.Second, func() { memory.Release(MaxMemory) })
		if got := review(large).Response; !got.Allowed {
			t.Errorf("one that waits its turn: %+v", got)
		}
		if !memory.TryAcquire(MaxMemory) {
			t.Error("reviews that are done keep memory")
		}
	})
}

func TestOtherRequests(t *testing.T) {
	tests := []struct {
		method, path string
		want         int
	}{{"GET", Path, 405}, {"POST", "/", 404}, {"POST", Path + "/x", 404}}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		handlerOf(nil).ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.want {
			t.Errorf("%s %s = %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var skip strings.Builder
	for i := range 100 {
		fmt.Fprintf(&skip, "ghost-%d;", i)
	}
	_, p := mutated(t, config(), podOf(fmt.Sprintf(`"%s":"%s"`, wi.SkipAnnotation, skip.String()), oneContainer), account(wi.ClientIDAnnotation, clientID))
	size := 0
	for _, w := range p.Warnings {
		size += len(w)
	}
	if len(p.Warnings) != maxWarnings || size > 4096 || p.Warnings[maxWarnings-1] != "and 89 more warnings about this pod" {
		t.Errorf("%d warnings of %d bytes: %q", len(p.Warnings), size, p.Warnings)
	}
}

func FuzzReview(f *testing.F) {
	f.Add([]byte(reviewOf("v1", "CREATE", smallPod)))
	f.Add([]byte(reviewOf("v1beta1", "CREATE", podOf("", "null"))))
	f.Add([]byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"\ud800"}}`))
	h := handlerOf(nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		got := post(t, h, "application/json", bytes.NewReader(body))
		if got.Response.Status.Code == 500 && !bytes.Contains(body, []byte("broken")) {
			t.Errorf("our fault: %+v", got)
		}
	})
}
