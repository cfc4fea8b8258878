package admission

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// realPod is about what kubectl run leaves at the API server.
func realPod(containers, variables int) string {
	var items []string
	for i := range containers {
		var vars []string
		for j := range variables {
			vars = append(vars, fmt.Sprintf(`{"name":"VARIABLE_%d","value":"some value of a usual length %d"}`, j, j))
		}
		items = append(items, fmt.Sprintf(`{"name":"c%d","image":"registry.example/team/app:1.2.3","env":[%s],"resources":{"limits":{"cpu":"1","memory":"1Gi"}},
			"volumeMounts":[{"name":"kube-api-access-x","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],
			"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}`, i, strings.Join(vars, ",")))
	}
	return `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-1","namespace":"shop","creationTimestamp":null,"labels":{"app":"web","azure.workload.identity/use":"true"},
		"managedFields":[{"manager":"kubectl","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}}]},
		"spec":{"volumes":[{"name":"kube-api-access-x","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}}],"defaultMode":420}}],
		"containers":[` + strings.Join(items, ",") + `],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst",
		"serviceAccountName":"web","serviceAccount":"web","securityContext":{},"schedulerName":"default-scheduler",
		"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"enableServiceLinks":true},"status":{}}`
}

// BenchmarkReview is a review in-process, from its body to its answer. The
// median is reported besides the mean.
func BenchmarkReview(b *testing.B) {
	for _, size := range []struct {
		name                  string
		containers, variables int
	}{{"small", 1, 2}, {"20x30", 20, 30}} {
		b.Run(size.name, func(b *testing.B) {
			body := []byte(reviewOf("v1", "CREATE", realPod(size.containers, size.variables)))
			h := handlerOf(func(c *HandlerConfig) { c.Metrics = NewMetrics() })
			took := make([]time.Duration, 0, b.N)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				r := httptest.NewRequest("POST", Path, bytes.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				h.ServeHTTP(httptest.NewRecorder(), r)
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
		})
	}
}

// BenchmarkMutate is the patch alone.
func BenchmarkMutate(b *testing.B) {
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			doc, c, a := []byte(realPod(n, 30)), config(), account(wi.ClientIDAnnotation, clientID)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Mutate(c, doc, "shop", a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHTTPS compares the webhook with a handler that reads the review and
// answers as many bytes, over one TLS connection of HTTP/2 for each caller.
func BenchmarkHTTPS(b *testing.B) {
	body := []byte(reviewOf("v1", "CREATE", realPod(1, 2)))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", Path, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	handlerOf(nil).ServeHTTP(w, r)
	bare := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(w.Body.Bytes())
	})
	for _, side := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"webhook", handlerOf(func(c *HandlerConfig) { c.Metrics = NewMetrics() })}} {
		b.Run(side.name, func(b *testing.B) {
			s := httptest.NewUnstartedServer(side.h)
			s.EnableHTTP2 = true
			s.StartTLS()
			defer s.Close()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					resp, err := s.Client().Post(s.URL+Path, "application/json", bytes.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}
