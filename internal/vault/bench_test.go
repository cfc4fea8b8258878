package vault_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/lanyard-io/lanyard/internal/wiretest"
)

// BenchmarkGet reads a secret over TLS; compare with BenchmarkBareGet.
func BenchmarkGet(b *testing.B) {
	e := newEnv(b)
	e.set(b, kv1, "bench", "LevelUp Lab Secret")
	fetch(b, e.client, kv1+"/secrets/bench/?"+api)
}

// BenchmarkBareGet is the bound: a handler that does nothing, with an answer of the same size.
func BenchmarkBareGet(b *testing.B) {
	e := newEnv(b)
	e.edge = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, `{"value":"LevelUp Lab Secret","id":"https://kv1.vault.lanyard.test/secrets/bench/0123456789abcdef0123456789abcdef",`+
			`"attributes":{"enabled":true,"created":1700000000,"updated":1700000000,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}}`)
	})
	e.client = wiretest.Serve(b, e.edge)
	fetch(b, e.client, kv1+"/secrets/bench/?"+api)
}

func fetch(b *testing.B, client *http.Client, url string) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(16) // as the server has it: reads that wait together share one round to the store
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequest(http.MethodGet, url, nil)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Authorization", "Bearer alice")
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
}
