package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Ref names an object, or with an empty Name all of a kind.
type Ref struct {
	APIVersion string `json:"apiVersion"` // v1, apps/v1, …
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"` // empty for what has none
	Name       string `json:"name,omitempty"`
}

// String is the object's name as kubectl prints it, with its namespace.
func (r Ref) String() string {
	s := r.Kind
	if r.Name != "" {
		s += " " + r.Name
	}
	if r.Namespace != "" {
		s += " in namespace " + r.Namespace
	}
	return s
}

// Version is the API server's, such as v1.37.2.
type Version struct {
	Major      string `json:"major"`
	Minor      string `json:"minor"`
	GitVersion string `json:"gitVersion"`
}

// Version asks who the server is: it fails for what is no Kubernetes.
func (k *Cluster) Version(ctx context.Context) (v Version, err error) {
	b, err := k.Raw(ctx, "/version")
	if err != nil {
		return v, err
	}
	if json.Unmarshal(b, &v) != nil || !IsVersion(v.GitVersion) {
		return v, &Error{Message: fmt.Sprintf("%s answers, but not like Kubernetes", k.server.Host), kind: ErrUnreachable}
	}
	return v, nil
}

// IsVersion says whether a server calls itself Kubernetes, with a version such as
// v1.37.2+k3s1.
func IsVersion(s string) bool {
	number, _, _ := strings.Cut(s, ".")
	return len(s) <= 64 && len(number) > 1 && strings.Trim(number[1:], "0123456789") == "" && number[0] == 'v' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_~") == ""
}

// Raw reads a path of the API server, such as /openid/v1/jwks.
func (k *Cluster) Raw(ctx context.Context, path string) ([]byte, error) {
	return k.do(ctx, k.rest.Get().AbsPath(path))
}

// Get reads one object, as JSON.
func (k *Cluster) Get(ctx context.Context, ref Ref) ([]byte, error) {
	path, err := k.path(ctx, ref)
	if err != nil {
		return nil, err
	}
	return k.do(ctx, k.rest.Get().AbsPath(path))
}

// ListOptions narrow a List. Both are Kubernetes' own syntax.
type ListOptions struct{ LabelSelector, FieldSelector string }

// List reads all objects of a kind, of one namespace or of all, each as JSON.
func (k *Cluster) List(ctx context.Context, ref Ref, o ListOptions) ([]json.RawMessage, error) {
	ref.Name = ""
	path, err := k.path(ctx, ref)
	if err != nil {
		return nil, err
	}
	var all []json.RawMessage
	next := ""
	for range maxPages {
		r := k.rest.Get().AbsPath(path).Param("limit", "500")
		for name, value := range map[string]string{"labelSelector": o.LabelSelector, "fieldSelector": o.FieldSelector, "continue": next} {
			if value != "" {
				r = r.Param(name, value)
			}
		}
		b, err := k.do(ctx, r)
		if err != nil {
			return nil, err
		}
		var page struct {
			Metadata metav1.ListMeta   `json:"metadata"`
			Items    []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(b, &page); err != nil {
			return nil, fmt.Errorf("reading a list of %s: %w", ref.Kind, err)
		}
		all = append(all, page.Items...)
		if next = page.Metadata.Continue; next == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("reading a list of %s: it has more than %d pages", ref.Kind, maxPages)
}

// Create makes an object of JSON, and returns it as the cluster has it.
func (k *Cluster) Create(ctx context.Context, object []byte) ([]byte, error) {
	r, err := k.creation(ctx, object)
	if err != nil {
		return nil, err
	}
	return k.do(ctx, r)
}

// DryRun asks what would become of an object, such as a pod, after admission and
// defaults. It makes nothing. The warnings are what kubectl would print.
func (k *Cluster) DryRun(ctx context.Context, object []byte) (made []byte, warnings []string, err error) {
	r, err := k.creation(ctx, object)
	if err != nil {
		return nil, nil, err
	}
	var heard collector
	made, err = k.do(ctx, r.Param("dryRun", metav1.DryRunAll).WarningHandlerWithContext(&heard))
	return made, heard.warnings, err
}

func (k *Cluster) creation(ctx context.Context, object []byte) (*rest.Request, error) {
	ref, err := refOf(object)
	if err != nil {
		return nil, err
	}
	ref.Name = ""
	path, err := k.path(ctx, ref)
	if err != nil {
		return nil, err
	}
	return k.rest.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(object), nil
}

// collector keeps the warnings of one request.
type collector struct{ warnings []string }

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (c *collector) HandleWarningHeaderWithContext(_ context.Context, code int, _ string, text string) {
	if code == 299 && text != "" {
		c.warnings = append(c.warnings, text)
	}
}

// Update replaces an object by JSON. With a metadata.resourceVersion in it, a
// change by somebody else meanwhile is an ErrConflict.
func (k *Cluster) Update(ctx context.Context, object []byte) ([]byte, error) {
	ref, err := refOf(object)
	if err != nil {
		return nil, err
	}
	path, err := k.path(ctx, ref)
	if err != nil {
		return nil, err
	}
	return k.do(ctx, k.rest.Put().AbsPath(path).SetHeader("Content-Type", "application/json").Body(object))
}

// PatchType is how a patch is written.
type PatchType string

// The kinds of patch that are used here.
const (
	JSONPatch  PatchType = PatchType(types.JSONPatchType)  // https://www.rfc-editor.org/rfc/rfc6902
	MergePatch PatchType = PatchType(types.MergePatchType) // https://www.rfc-editor.org/rfc/rfc7386
)

// Patch changes an object, and returns it as it is then.
func (k *Cluster) Patch(ctx context.Context, ref Ref, t PatchType, patch []byte) ([]byte, error) {
	path, err := k.path(ctx, ref)
	if err != nil {
		return nil, err
	}
	return k.do(ctx, k.rest.Patch(types.PatchType(t)).AbsPath(path).Body(patch))
}

func refOf(object []byte) (Ref, error) {
	var o struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(object, &o); err != nil {
		return Ref{}, errors.New("not an object in JSON")
	}
	if o.APIVersion == "" || o.Kind == "" {
		return Ref{}, errors.New("an object without apiVersion or kind")
	}
	return Ref{APIVersion: o.APIVersion, Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}, nil
}

// path is where an object, or all of a kind, is served.
func (k *Cluster) path(ctx context.Context, ref Ref) (string, error) {
	if err := checkNames(ref.Namespace, ref.Name); err != nil {
		return "", err
	}
	r, err := k.resource(ctx, ref)
	if err != nil {
		return "", err
	}
	path := root(ref.APIVersion)
	if r.Namespaced && ref.Namespace != "" {
		path += "/namespaces/" + url.PathEscape(ref.Namespace)
	}
	path += "/" + r.Name
	if ref.Name != "" {
		path += "/" + url.PathEscape(ref.Name)
	}
	return path, nil
}

func root(apiVersion string) string {
	if apiVersion == "v1" {
		return "/api/v1"
	}
	return "/apis/" + apiVersion
}

// resource is how the cluster serves a kind. What it said is remembered; a kind
// that it did not know is asked for again.
func (k *Cluster) resource(ctx context.Context, ref Ref) (metav1.APIResource, error) {
	k.mu.Lock()
	known := k.resources[ref.APIVersion]
	k.mu.Unlock()
	if found, ok := find(known, ref.Kind); ok {
		return found, k.needsNamespace(found, ref)
	}
	unknown := func(format string, args ...any) error {
		return &Error{Status: 404, Message: fmt.Sprintf(format, args...), kind: ErrNotFound}
	}
	b, err := k.Raw(ctx, root(ref.APIVersion))
	if errors.Is(err, ErrNotFound) {
		return metav1.APIResource{}, unknown("the cluster has no API %s", ref.APIVersion)
	}
	if err != nil {
		return metav1.APIResource{}, err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(b, &list); err != nil {
		return metav1.APIResource{}, fmt.Errorf("reading the kinds of %s: %w", ref.APIVersion, err)
	}
	k.mu.Lock()
	k.resources[ref.APIVersion] = list.APIResources
	k.mu.Unlock()
	found, ok := find(list.APIResources, ref.Kind)
	if !ok {
		return found, unknown("the cluster has no kind %s in %s", ref.Kind, ref.APIVersion)
	}
	return found, k.needsNamespace(found, ref)
}

func (k *Cluster) needsNamespace(r metav1.APIResource, ref Ref) error {
	if r.Namespaced && ref.Namespace == "" && ref.Name != "" {
		return fmt.Errorf("%s lives in a namespace, and none was given", ref)
	}
	return nil
}

func find(all []metav1.APIResource, kind string) (metav1.APIResource, bool) {
	for _, r := range all {
		if r.Kind == kind && !strings.Contains(r.Name, "/") {
			return r, true
		}
	}
	return metav1.APIResource{}, false
}

func (k *Cluster) do(ctx context.Context, r *rest.Request) ([]byte, error) {
	ctx, cancel := k.with(ctx)
	defer cancel()
	result := r.SetHeader("Accept", "application/json, application/jwk-set+json").Do(ctx)
	if err := result.Error(); err != nil { // Raw's own would lack the server's words
		return nil, k.explain(err)
	}
	b, err := result.Raw()
	return b, k.explain(err)
}
