package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/server"
)

// probe asks one of the plain listeners.
func probe(t *testing.T, addr, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestProbesAndMetricsHaveListeners(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.Health, c.Metrics, c.Debug = "127.0.0.1:0", "127.0.0.1:0", "off"
	r := start(t, c)
	for _, tt := range []struct {
		addr, path string
		want       int
	}{
		{r.State().Health, "/healthz", 200},
		{r.State().Health, "/readyz", 200},
		{r.State().Health, "/metrics", 404},
		{r.State().Health, "/debug/pprof/", 404},
		{r.State().Metrics, "/metrics", 200},
		{r.State().Metrics, "/debug/pprof/", 404},
	} {
		if got := probe(t, tt.addr, tt.path); got != tt.want {
			t.Errorf("%s = %d, want %d", tt.path, got, tt.want)
		}
	}
}

// A server that is to stop says that it is not ready, and answers meanwhile.
func TestDrain(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.Health, c.Drain = "127.0.0.1:0", 2*time.Second
	r := start(t, c)
	r.cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for probe(t, r.State().Health, "/readyz") != 503 {
		<-tick.C
	}
	if got := probe(t, r.State().Health, "/healthz"); got != 200 {
		t.Errorf("/healthz = %d while draining", got)
	}
	r.group()
	r.stop()
}

func TestKeyFromSecretVolume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, local(dir))
	first.vault("kv-mounted")
	first.stop()

	key := filepath.Join(dir, "seal.key")
	mounted := filepath.Join(t.TempDir(), "seal.key")
	write(t, mounted, string(read(t, key)), 0o440)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	c := local(dir)
	c.KeyFile = mounted
	start(t, c).stop()
}

func TestClusterDNSNeedsACluster(t *testing.T) {
	c := local(t.TempDir())
	c.ClusterDNS = "lanyard"
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	s, err := server.New(t.Context(), c)
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "not running in a Kubernetes cluster") || !strings.Contains(err.Error(), "--cluster-dns") {
		t.Errorf("starting: %v", err)
	}
}
