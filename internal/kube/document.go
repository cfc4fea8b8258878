package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/egress"
)

// Limits of one document.
const (
	documentTimeout = 10 * time.Second
	maxDocument     = 256 << 10
)

// Document reads what an API server publishes for everybody at a path, such as
// /openid/v1/jwks. Its errors are for who has attached the cluster: they repeat
// nothing of what was answered.
func (k *Cluster) Document(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(k.server.String(), "/")+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	resp, err := k.http.Do(req)
	if resp != nil { // also with errRedirect
		defer resp.Body.Close()
	}
	switch {
	case resp != nil && resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %d", path, resp.StatusCode)
	case err != nil:
		return nil, errors.New(egress.Why(err, k.roots))
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %s", path, egress.Why(err, k.roots))
	}
	if len(b) > maxDocument {
		return nil, fmt.Errorf("%s answers more than %d KiB", path, maxDocument>>10)
	}
	return b, nil
}
