package server_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
)

// credulous is an API server that takes every credential, and a kubeconfig for it with
// a token that ended.
func credulous(t *testing.T, end time.Time) (kubeconfig []byte) {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	for path, body := range map[string]string{
		"/version":                          `{"gitVersion":"v1.37.2"}`,
		"/.well-known/openid-configuration": fmt.Sprintf(`{"issuer":%q}`, s.URL),
		"/openid/v1/jwks": `{"keys":[{"kty":"EC","crv":"P-256","kid":"k","use":"sig","alg":"ES256",` +
			`"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`,
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
	}
	token := "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, end.Unix())) + ".c2ln"
	return kubetest.KubeconfigOf(t, s.URL, s.Certificate(), token)
}

func TestGaugesOfAClusterWhoseCredentialEnded(t *testing.T) {
	t.Parallel()
	c := local(t.TempDir())
	c.Metrics = "127.0.0.1:0"
	r := start(t, c)
	end := time.Now().Add(-time.Hour)
	r.cluster("aks", attach(credulous(t, end), nil))

	_, page := answer(t, r.State().Metrics, "/metrics")
	value := func(metric string) (v float64) {
		t.Helper()
		_, after, _ := strings.Cut(page, "\n"+metric+" ")
		if _, err := fmt.Sscan(after, &v); err != nil {
			t.Errorf("%s: %v", metric, err)
		}
		return v
	}
	for metric, want := range map[string]float64{
		`lanyard_clusters{state="accepted"}`: 1, `lanyard_clusters{state="refused"}`: 0, `lanyard_clusters{state="not_enabled"}`: 0,
		"lanyard_cluster_credential_end_timestamp_seconds": float64(end.Unix()),
	} {
		if got := value(metric); got != want {
			t.Errorf("%s %v, want %v", metric, got, want)
		}
	}
	if got := value("lanyard_cluster_keys_oldest_read_timestamp_seconds"); got <= float64(end.Unix()) {
		t.Errorf("the keys were read at %v, and the credential ended at %v", got, end.Unix())
	}
}
