package cluster_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestControlPlane holds what needs an API server only.
func TestControlPlane(t *testing.T) {
	t.Parallel()
	// With all that is not yet on by default, so that pods have their newest fields.
	c := start(t, "api", "--feature-gates=AllAlpha=true,AllBeta=true", "--runtime-config=api/all=true")
	t.Run("tokens", func(t *testing.T) { t.Parallel(); testTokens(t, c) })
	t.Run("pods", func(t *testing.T) { testCorpus(t, c) })
	t.Run("issuer-key-rotation", func(t *testing.T) { testRotation(t, c) })
}

// TestNode holds what needs pods that run.
func TestNode(t *testing.T) {
	t.Parallel()
	if os.Getenv("LANYARD_CLUSTER_NODE") == "" {
		cannotRun(t, "a node needs Linux and root: use test/cluster/run, or make test")
	}
	c := start(t, "node")
	c.addImages(t, "lanyard", "quickstart")
	c.addKit(t)
	t.Run("pod", func(t *testing.T) { testPod(t, c) })
	t.Run("walkthrough", func(t *testing.T) { testWalkthrough(t, c) })
	t.Run("walkthrough-in-the-cluster", func(t *testing.T) { testInside(t, c) })
	t.Run("external-secrets", func(t *testing.T) { testExternalSecrets(t, c) })
	t.Run("takeover", func(t *testing.T) { testTakeover(t, c) }) // after our own webhooks are gone
}

// review is what the API server says of a token.
type review struct {
	Authenticated bool     `json:"authenticated"`
	Audiences     []string `json:"audiences"`
	User          struct {
		Username string `json:"username"`
	} `json:"user"`
}

func (c *cluster) review(t *testing.T, token, audience string) review {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": map[string]any{"token": token, "audiences": []string{audience}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status review `json:"status"`
	}
	if err := json.Unmarshal([]byte(c.kubectlIn(t, string(body), "create", "-f", "-", "-o", "json")), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

func testTokens(t *testing.T, c *cluster) {
	namespace := c.namespace(t, "tokens")
	token := c.token(t, namespace, "default", audience)
	got := c.review(t, token, audience)
	if want := "system:serviceaccount:tokens:default"; !got.Authenticated || got.User.Username != want {
		t.Errorf("the review of a token is %+v, want %s", got, want)
	}
	if got := c.review(t, token, issuer); got.Authenticated {
		t.Error("a token for the exchange is good for the API server too")
	}
}

// kitImage holds the program ./kit, which runs as root.
const kitImage = "localhost/kit:1"

func (c *cluster) addKit(t *testing.T) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "kit.tar")
	kit := filepath.Join(c.dir, "kit")
	if out, err := c.command(t.Context(), kit, "image", "-name", kitImage, "-program", kit, "-out", image).CombinedOutput(); err != nil {
		t.Fatalf("making an image: %v\n%s", err, out)
	}
	c.addImage(t, image)
}

func testPod(t *testing.T, c *cluster) {
	namespace := c.namespace(t, "smoke")
	c.apply(t, namespace, `
apiVersion: v1
kind: Pod
metadata: {name: reader}
spec:
  restartPolicy: Never
  volumes: [{name: token, projected: {sources: [{serviceAccountToken: {audience: "`+audience+`", path: token}}]}}]
  containers: [{name: reader, image: "`+kitImage+`", args: [cat, /token/token], volumeMounts: [{name: token, mountPath: /token}]}]
`)
	c.wait(t, namespace, "pod/reader", "jsonpath={.status.phase}=Succeeded")
	token := strings.TrimSpace(c.kubectl(t, "logs", "-n", namespace, "reader"))
	if got := c.review(t, token, audience); !got.Authenticated || got.User.Username != "system:serviceaccount:smoke:default" {
		t.Errorf("the review of the pod's token is %+v", got)
	}
}
