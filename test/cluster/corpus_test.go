package cluster_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// object is JSON as it came.
type object = map[string]any

// api speaks to the API server of a cluster on loopback, as its admin.
type api struct {
	t      *testing.T
	url    string
	client *http.Client
}

func newAPI(t *testing.T, c *cluster) *api {
	t.Helper()
	pki := func(name string) string { return filepath.Join(c.dir, "pki", name) }
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(t, pki("ca.crt")))
	cert, err := tls.LoadX509KeyPair(pki("admin.crt"), pki("admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}},
	}
	t.Cleanup(transport.CloseIdleConnections)
	port, _, _ := strings.Cut(string(read(t, filepath.Join(c.dir, "conf", "ports"))), "\n")
	return &api{t: t, url: "https://127.0.0.1:" + port, client: &http.Client{Transport: transport, Timeout: commandLimit}}
}

// do sends an object, and gives the one that is stored.
func (a *api) do(method, path, contentType string, body object) (object, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if b, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	b = ownVolume.ReplaceAll(b, []byte("kube-api-access-x"))
	var stored object
	if err := json.Unmarshal(b, &stored); err != nil {
		return nil, fmt.Errorf("%s in %q", err, b)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %v", resp.Status, stored["message"])
	}
	return stored, nil
}

// ownVolume is the volume with the API server's own token, whose name ends at random.
var ownVolume = regexp.MustCompile(`\bkube-api-access-[a-z0-9]{5}\b`)

// createPod makes a pod; debugging containers follow on their own resource.
func (a *api) createPod(namespace string, pod object) (object, error) {
	pod = clone(pod)
	spec := pod["spec"].(object)
	ephemeral := spec["ephemeralContainers"]
	delete(spec, "ephemeralContainers")
	stored, err := a.do("POST", "/api/v1/namespaces/"+namespace+"/pods", "application/json", pod)
	if err != nil || ephemeral == nil {
		return stored, err
	}
	name := stored["metadata"].(object)["name"].(string)
	return a.do("PATCH", "/api/v1/namespaces/"+namespace+"/pods/"+name+"/ephemeralcontainers",
		"application/strategic-merge-patch+json", object{"spec": object{"ephemeralContainers": ephemeral}})
}

// corpus is all pods of testdata/pods, with the label that asks for a mutation
// unless they say otherwise.
func corpus(t *testing.T, c *cluster) (pods []object) {
	t.Helper()
	out := c.kubectl(t, "create", "--dry-run=client", "--validate=false", "-o", "json", "-f", filepath.Join("testdata", "pods"))
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var pod object
		if err := d.Decode(&pod); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		items, _ := pod["items"].([]any)
		for _, item := range items {
			pods = append(pods, item.(object))
		}
		if items == nil {
			pods = append(pods, pod)
		}
	}
	for _, pod := range pods {
		metadata := pod["metadata"].(object)
		delete(metadata, "namespace") // kubectl's
		labels, _ := metadata["labels"].(object)
		if labels == nil {
			labels = object{}
			metadata["labels"] = labels
		}
		if labels[useLabel] == nil {
			labels[useLabel] = "true"
		}
	}
	return pods
}

const useLabel = "azure.workload.identity/use"

// podName is what a pod of the corpus is called in messages.
func podName(pod object) string {
	metadata := pod["metadata"].(object)
	if name, ok := metadata["name"].(string); ok {
		return name
	}
	return metadata["generateName"].(string)
}

// testCorpus lets the API server judge the webhook: it accepts every pod that it
// accepts without the webhook, and stores the same plus what we add, also when
// the stored pod is made again, under its name or another one.
func testCorpus(t *testing.T, c *cluster) {
	plain, hooked, restored := c.podNamespace(t, "plain"), c.podNamespace(t, "hooked"), c.podNamespace(t, "restored")
	c.kubectlIn(t, prerequisites, "apply", "-f", "-")
	a, pods := newAPI(t, c), corpus(t, c)
	if len(pods) < 60 {
		t.Errorf("the corpus has %d pods, want 60 or more", len(pods))
	}
	checkFields(t, c, pods)

	want := make([]object, len(pods))
	for i, pod := range pods {
		var err error
		if want[i], err = a.createPod(plain, pod); err != nil {
			t.Fatalf("%s, without the webhook: %v", podName(pod), err)
		}
	}
	s := newServer(t, c, "--webhook", "127.0.0.1:0")
	s.lanyard(nil, "cluster", "attach", "dev", "--kubeconfig", c.kubeconfig(), "--enable-oidc-issuer", "--enable-workload-identity", "--webhook-image", "registry.test/lanyard:1")

	for i, pod := range pods {
		t.Run(strings.TrimSuffix(podName(pod), "-"), func(t *testing.T) {
			got, err := a.createPod(hooked, pod)
			if err != nil {
				t.Fatalf("the API server refuses it with the webhook: %v", err)
			}
			added := additions(t, "", want[i], got)
			if asked := pod["metadata"].(object)["labels"].(object)[useLabel]; (asked == "true") != (len(added) > 0) {
				t.Errorf("the label is %q, and the webhook adds %q", asked, added)
			}
			again, err := a.createPod(restored, remake(got))
			if err != nil {
				t.Fatalf("restored, the API server refuses it: %v", err)
			}
			same(t, "restored", got, again)
			copied := remake(got)
			copied["metadata"].(object)["name"] = fmt.Sprintf("copy-%d", i)
			if again, err = a.createPod(hooked, copied); err != nil {
				t.Fatalf("under another name, the API server refuses it: %v", err)
			}
			same(t, "under another name", got, again)
		})
	}
}

// prerequisites are what some pods of the corpus name, and the API server looks up.
const prerequisites = `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: urgent}
value: 1000
preemptionPolicy: Never
---
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: {name: sandboxed}
handler: sandboxed
overhead: {podFixed: {cpu: 250m, memory: 64Mi}}
`

// podNamespace makes a namespace with the service accounts of the corpus.
func (c *cluster) podNamespace(t *testing.T, name string) string {
	t.Helper()
	c.namespace(t, name)
	c.apply(t, name, `
apiVersion: v1
kind: ServiceAccount
metadata:
  name: app
  annotations: {azure.workload.identity/client-id: 33333333-3333-4333-8333-333333333333}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: bare}
`)
	return name
}

// remake is a stored pod as a backup makes it again: without what is only true
// of the one that was.
func remake(stored object) object {
	pod := clone(stored)
	delete(pod, "status")
	metadata := pod["metadata"].(object)
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "namespace", "selfLink"} {
		delete(metadata, field)
	}
	return pod
}

func same(t *testing.T, how string, before, after object) {
	t.Helper()
	// A resource keeps its annotations, so what is compared is all of the pod.
	if added := additions(t, "", remake(before), remake(after)); len(added) > 0 {
		t.Errorf("%s, the webhook adds %q once more", how, added)
	}
}

// additions checks that got is want, plus what the webhook may add, which it
// names. What differs besides is an error.
func additions(t *testing.T, path string, want, got any) (added []string) {
	t.Helper()
	switch want := want.(type) {
	case object:
		got, ok := got.(object)
		if !ok {
			t.Errorf("%s is %s, want an object", path, text(got))
			return nil
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if at := path + "." + key; !ofTheServer(at) {
				if _, there := got[key]; !there {
					t.Errorf("%s is gone", at)
					continue
				}
				added = append(added, additions(t, at, want[key], got[key])...)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if _, there := want[key]; !there && !ofTheServer(path+"."+key) {
				added = append(added, fresh(t, path+"."+key, got[key])...)
			}
		}
	case []any:
		got, _ := got.([]any)
		added = listAdditions(t, path, want, got)
	default:
		if text(want) != text(got) {
			t.Errorf("%s is %s, want %s", path, text(got), text(want))
		}
	}
	return added
}

// earlier says whether a volume is one that an earlier webhook has put there, and
// that ours brings up to date: one with the token alone.
func earlier(v any) bool {
	volume, _ := v.(object)
	projected, _ := volume["projected"].(object)
	sources, _ := projected["sources"].([]any)
	if !reserved(v) || len(sources) != 1 {
		return false
	}
	token, _ := sources[0].(object)["serviceAccountToken"].(object)
	return token["audience"] == "api://AzureADTokenExchange"
}

// reserved says whether a volume has the name and form of a webhook's.
func reserved(v any) bool {
	volume, _ := v.(object)
	name, _ := volume["name"].(string)
	return volume["projected"] != nil && (strings.HasPrefix(name, "azure-workload-identity-reserved-") || name == "azure-identity-token")
}

// listAdditions: the elements of want are in got, in order; among them are new ones.
func listAdditions(t *testing.T, path string, want, got []any) (added []string) {
	t.Helper()
	i := 0
	for _, element := range got {
		if i < len(want) && identity(want[i]) == identity(element) {
			if path != ".spec.volumes" || !earlier(want[i]) || !reserved(element) {
				added = append(added, additions(t, path+"["+identity(element)+"]", want[i], element)...)
			}
			i++
			continue
		}
		at := path + "[" + identity(element) + "]"
		if !ours(at, element) {
			t.Errorf("%s is new or has moved: %s", at, text(element))
		}
		added = append(added, at)
	}
	for _, element := range want[i:] {
		t.Errorf("%s[%s] is gone or has moved: %s", path, identity(element), text(element))
	}
	return added
}

// fresh names what is under a key that was not there.
func fresh(t *testing.T, path string, v any) (added []string) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		return listAdditions(t, path, nil, v)
	case object:
		if path == ".metadata.annotations" {
			for key, value := range v {
				added = append(added, fresh(t, path+"."+key, value)...)
			}
			return added
		}
	}
	if !ours(path, v) {
		t.Errorf("%s is new: %s", path, text(v))
	}
	return []string{path}
}

// ours says whether the webhook may add the value at the path.
func ours(path string, v any) bool {
	element, _ := v.(object)
	name, _ := element["name"].(string)
	switch last := path[strings.LastIndex(path, ".")+1:]; {
	case strings.HasPrefix(path, ".metadata.annotations.lanyard.io/"):
		return true
	case strings.HasPrefix(path, ".spec.volumes["):
		return reserved(v)
	case strings.HasPrefix(path, ".spec.initContainers[azwi-proxy") && strings.Count(path, ".") == 2:
		return true
	case strings.Contains(path, ".volumeMounts["): // a mount's name may have dots
		mount, _ := element["mountPath"].(string)
		return element["readOnly"] == true && slices.Contains(places, mount)
	case strings.HasPrefix(last, "env["):
		return slices.Contains(variables, name)
	}
	return false
}

// variables are all that the webhook sets.
var variables = []string{
	"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
	"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
}

// places are where containers get the token; the last two where volumes of their
// own are in the way.
var places = []string{
	"/var/run/secrets/azure/wi", "/var/run/secrets/azure/tokens", "/var/run/secrets/lanyard.io", "/lanyard.io",
}

// ofTheServer is what the API server sets differently on every pod.
func ofTheServer(path string) bool {
	switch path {
	case ".metadata.uid", ".metadata.resourceVersion", ".metadata.creationTimestamp", ".metadata.managedFields",
		".metadata.namespace", ".metadata.name", ".status":
		return true
	}
	return false
}

// identity is what two elements of a list have in common when they are the same
// one: a name, or all of them.
func identity(v any) string {
	element, ok := v.(object)
	if !ok {
		return text(v)
	}
	key := ""
	for _, field := range []string{"name", "mountPath", "devicePath"} {
		if s, ok := element[field].(string); ok && s != "" {
			key += "/" + s
		}
	}
	if key == "" {
		return text(v)
	}
	return strings.TrimPrefix(key, "/")
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func clone(v object) (w object) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		panic(err) // it was JSON
	}
	return w
}
