package az_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyard-io/lanyard/internal/devissuer"
	"github.com/lanyard-io/lanyard/test/clients/kubeapi"
)

// cluster plays the part of a kube-apiserver that Lanyard asks.
type cluster struct {
	issuer *devissuer.Issuer
	api    *kubeapi.Server
}

const clusterToken = kubeapi.Token

func newCluster(t *testing.T) *cluster {
	t.Helper()
	api, err := kubeapi.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return &cluster{api.Issuer, api}
}

// kubeconfig writes the file that kubectl would use.
func (c *cluster) kubeconfig(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, c.api.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serviceAccountToken writes what the kubelet projects into a pod.
func (c *cluster) serviceAccountToken(t *testing.T, account string) string {
	t.Helper()
	token, err := c.issuer.Token("default", account, "api://AzureADTokenExchange", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "azure-identity-token")
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
