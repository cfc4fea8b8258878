package kube_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/kube/kubetest"
)

// BenchmarkAccounts follows 50,000 service accounts (or as many as
// LANYARD_ACCOUNTS says), one in ten with an identity. It tells the time until
// all are known, and the heap that they take then and at most.
func BenchmarkAccounts(b *testing.B) {
	count := 50_000
	if s := os.Getenv("LANYARD_ACCOUNTS"); s != "" {
		var err error
		if count, err = strconv.Atoi(s); err != nil {
			b.Fatal(err)
		}
	}
	s := kubetest.Start(b)
	populate(b, s, count)
	k, err := kube.Connect(kube.Config{Kubeconfig: s.Kubeconfig})
	if err != nil {
		b.Fatal(err)
	}
	defer k.Close()
	before := heap()
	for b.Loop() {
		a := k.WatchAccounts(kube.AccountsConfig{Prefixes: []string{"azure.workload.identity/"}})
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		var peak uint64
		for !a.Synced() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			time.Sleep(10 * time.Millisecond)
		}
		if a.Len() < count {
			b.Fatalf("%d of %d service accounts", a.Len(), count)
		}
		b.ReportMetric(float64(peak)/1e6, "peak-MB")
		b.ReportMetric(float64(heap()-before)/1e6, "heap-MB")
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func populate(b *testing.B, s *kubetest.Server, count int) {
	b.Helper()
	client := s.Client(b)
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(16)
	for i := range count {
		g.Go(func() error {
			annotations := ""
			if i%10 == 0 {
				annotations = `"azure.workload.identity/client-id":"11111111-2222-3333-4444-555555555555",`
			}
			body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"workload-%05d",
				"labels":{"app.kubernetes.io/name":"workload","app.kubernetes.io/managed-by":"Helm"},
				"annotations":{%s"meta.helm.sh/release-name":"workload","meta.helm.sh/release-namespace":"default"}}}`, i, annotations)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/api/v1/namespaces/default/serviceaccounts", strings.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return err
			}
			if resp.StatusCode != http.StatusCreated {
				return fmt.Errorf("the API server answers %s", resp.Status)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}
