package obs

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func TestDebugPages(t *testing.T) {
	h := Debug(DebugConfig{Registry: NewRegistry()})
	tests := []struct{ path, mention string }{
		{"/metrics", "lanyard_build_info{"},
		{"/metrics", "go_goroutines "},
		{"/metrics", "process_open_fds "},
		{"/healthz", `{"ok":true}`},
		{"/readyz", `{"ok":true}`},
		{"/debug/pprof/", "goroutine"},
		{"/debug/pprof/goroutine?debug=1", "goroutine profile"},
		{"/debug/pprof/cmdline", "obs.test"},
	}
	for _, tt := range tests {
		if code, body := get(t, h, tt.path); code != 200 || !strings.Contains(body, tt.mention) {
			t.Errorf("%s = %d, lacks %q: %.200s", tt.path, code, tt.mention, body)
		}
	}
	if code, _ := get(t, h, "/"); code != 404 {
		t.Errorf("/ = %d, want 404", code)
	}
}

func TestReadyNamesWhatFails(t *testing.T) {
	fine := Check{Name: "store", Check: func(context.Context) error { return nil }}
	h := Debug(DebugConfig{Registry: NewRegistry(), Checks: []Check{
		fine, {Name: "keys", Check: func(context.Context) error { return errors.New(`no "active" key`) }}, fine,
	}})
	code, body := get(t, h, "/readyz")
	want := `{"ok":false,"failed":[{"name":"keys","error":"no \"active\" key"}]}` + "\n"
	if code != 503 || body != want {
		t.Errorf("/readyz = %d %s, want 503 %s", code, body, want)
	}
	if code, _ := get(t, h, "/healthz"); code != 200 {
		t.Errorf("/healthz = %d while not ready, want 200", code)
	}
}

func TestReadyWarns(t *testing.T) {
	c := DebugConfig{Registry: NewRegistry(), Checks: []Check{
		{Name: "size", Warn: true, Check: func(context.Context) error { return errors.New("nearly full") }},
	}}
	for h, want := range map[string]string{
		"debug":  `{"ok":true,"warnings":[{"name":"size","error":"nearly full"}]}` + "\n",
		"probes": `{"ok":true,"warnings":[{"name":"size"}]}` + "\n",
	} {
		handler := Debug(c)
		if h == "probes" {
			handler = Probes(c)
		}
		if code, body := get(t, handler, "/readyz"); code != 200 || body != want {
			t.Errorf("%s: /readyz = %d %s, want 200 %s", h, code, body, want)
		}
	}
}

func TestReadyDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Debug(DebugConfig{Registry: NewRegistry(), Checks: []Check{
			{Name: "stuck", Check: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		}})
		if code, body := get(t, h, "/readyz"); code != 503 || !strings.Contains(body, `"stuck"`) {
			t.Errorf("/readyz = %d %s", code, body)
		}
	})
}

func TestBuild(t *testing.T) {
	tests := []struct {
		name string
		info debug.BuildInfo
		want BuildInfo
	}{
		{"release", debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.3"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "false"}}},
			BuildInfo{"v1.2.3", "abc", "go1.26"}},
		{"changed-tree", debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "(devel)"},
			Settings: []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}, {Key: "vcs.revision", Value: "abc"}}},
			BuildInfo{"(devel)", "abc-dirty", "go1.26"}},
		{"no-repository", debug.BuildInfo{GoVersion: "go1.26"}, BuildInfo{"(devel)", "", "go1.26"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, buildInfo(&tt.info)); diff != "" {
				t.Errorf("build (-want +got):\n%s", diff)
			}
		})
	}
	if Build().Go == "" {
		t.Error("the running program has no Go version")
	}
}

func TestRequestFromNothing(t *testing.T) {
	if diff := cmp.Diff(&Request{}, RequestFrom(context.Background())); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestPublicListenersSayLittle(t *testing.T) {
	broken := Check{Name: "store", Check: func(context.Context) error { return errors.New("dial etcd-0.internal") }}
	c := DebugConfig{Registry: NewRegistry(), Checks: []Check{broken}}
	probes, metrics := Probes(c), Metrics(c.Registry)
	if code, body := get(t, probes, "/readyz"); code != 503 || body != `{"ok":false,"failed":[{"name":"store"}]}`+"\n" {
		t.Errorf("/readyz = %d %s", code, body)
	}
	if code, _ := get(t, probes, "/healthz"); code != 200 {
		t.Errorf("/healthz = %d", code)
	}
	if code, body := get(t, metrics, "/metrics"); code != 200 || !strings.Contains(body, "lanyard_build_info{") {
		t.Errorf("/metrics = %d %.200s", code, body)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/"} {
		if code, _ := get(t, probes, path); code != 404 {
			t.Errorf("the probes' listener answers %s with %d", path, code)
		}
	}
	for _, path := range []string{"/readyz", "/debug/pprof/", "/"} {
		if code, _ := get(t, metrics, path); code != 404 {
			t.Errorf("the metrics' listener answers %s with %d", path, code)
		}
	}
}
