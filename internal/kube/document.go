package arm

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/egress"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/strictjson"
	"github.com/lanyard-io/lanyard/internal/trust"
)

// Limits of one question to a cluster's API server.
const (
	clusterTimeout  = 10 * time.Second
	maxClusterBytes = 256 << 10
)

// apiServer asks a cluster's API server, with the kubeconfig's credentials.
type apiServer struct {
	url    string
	token  string
	client *http.Client
	roots  *x509.CertPool // of the kubeconfig; nil: the system's
}

// dial prepares for questions; it sends nothing yet. The caller must close.
func (k *kubeconfig) dial() (*apiServer, error) {
	config, err := k.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:   config,
		DialContext:       egress.Dialer(clusterTimeout).DialContext,
		ForceAttemptHTTP2: true,
		Proxy:             nil, // the environment's would see the credentials
	}
	return &apiServer{
		url: strings.TrimRight(k.Clusters[0].Cluster.Server, "/"), token: k.Users[0].User.Token, roots: config.RootCAs,
		client: &http.Client{
			Transport: transport, Timeout: clusterTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (a *apiServer) close() { a.client.CloseIdleConnections() }

func (a *apiServer) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	req.Header.Set("User-Agent", "lanyard")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, errors.New(egress.Why(err, a.roots))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxClusterBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %s", path, egress.Why(err, a.roots))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %d", path, resp.StatusCode)
	case len(b) > maxClusterBytes:
		return nil, fmt.Errorf("%s answers more than %d KiB", path, maxClusterBytes>>10)
	}
	return b, nil
}

// version is Kubernetes' version, such as 1.37.2.
func (a *apiServer) version(ctx context.Context) (string, error) {
	b, err := a.get(ctx, "/version")
	if err != nil {
		return "", err
	}
	var doc struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := errors.Join(strictjson.Check(b), json.Unmarshal(b, &doc)); err != nil || !kubernetesVersion(doc.GitVersion) {
		return "", errors.New("/version does not answer like Kubernetes")
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(doc.GitVersion, "v"), "+")
	return version, nil
}

// kubernetesVersion says whether a server calls itself Kubernetes, with a version
// such as v1.37.2+k3s1.
func kubernetesVersion(s string) bool {
	number, _, _ := strings.Cut(s, ".")
	return len(s) <= 64 && len(number) > 1 && strings.Trim(number[1:], "0123456789") == "" && number[0] == 'v' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_~") == ""
}

// issuer is who signs the service accounts' tokens, and the keys to check them
// with. The keys come from the API server itself, whatever jwks_uri says: that
// is how a cluster works whose issuer nobody else can reach.
// https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#service-account-issuer-discovery
func (a *apiServer) issuer(ctx context.Context) (issuer string, keys []byte, err error) {
	b, err := a.get(ctx, "/.well-known/openid-configuration")
	if err != nil {
		return "", nil, err
	}
	var doc struct {
		Issuer string `json:"issuer"`
	}
	if err := errors.Join(strictjson.Check(b), json.Unmarshal(b, &doc)); err != nil {
		return "", nil, errors.New("/.well-known/openid-configuration is not JSON, or has a member twice")
	}
	if err := model.CheckIssuer(doc.Issuer); err != nil {
		return "", nil, fmt.Errorf("the cluster's issuer is of no use: %w (kube-apiserver's --service-account-issuer)", err)
	}
	if keys, err = a.get(ctx, "/openid/v1/jwks"); err != nil {
		return "", nil, err
	}
	n, err := trust.ParseKeys(keys, maxIssuerKeys)
	if err != nil {
		return "", nil, fmt.Errorf("/openid/v1/jwks: %s", egress.Printable(err.Error(), 200))
	}
	if n == 0 {
		return "", nil, errors.New("/openid/v1/jwks has no key that can verify a token")
	}
	return doc.Issuer, keys, nil
}
