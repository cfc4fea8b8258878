package kube

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// maxManifests bounds what is read as manifests.
const maxManifests = 4 << 20

// Apply makes the cluster have what the manifests say, by server-side apply in
// their order: YAML or JSON, several documents, lists. Fields that others own and
// that are named here are taken over. Applying again changes nothing.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/
func (k *Cluster) Apply(ctx context.Context, manifests []byte, fieldManager string) ([]Ref, error) {
	return k.apply(ctx, manifests, fieldManager, false)
}

// DryApply finds out whether Apply would be accepted. It changes nothing. What
// lives in a namespace that is not there yet is not accepted.
func (k *Cluster) DryApply(ctx context.Context, manifests []byte, fieldManager string) ([]Ref, error) {
	return k.apply(ctx, manifests, fieldManager, true)
}

func (k *Cluster) apply(ctx context.Context, manifests []byte, fieldManager string, dry bool) ([]Ref, error) {
	objects, err := parse(manifests)
	if err != nil {
		return nil, err
	}
	var done []Ref
	for _, o := range objects {
		path, err := k.path(ctx, o.ref)
		if err != nil {
			return done, fmt.Errorf("applying %s: %w", o.ref, err)
		}
		r := k.rest.Patch(types.ApplyPatchType).AbsPath(path).
			Param("fieldManager", fieldManager).Param("force", "true").Body(o.json)
		if dry {
			r = r.Param("dryRun", metav1.DryRunAll)
		}
		if _, err := k.do(ctx, r); err != nil {
			return done, fmt.Errorf("applying %s: %w", o.ref, err)
		}
		done = append(done, o.ref)
	}
	return done, nil
}

// Delete removes what the manifests name, the last first. What is not there
// already is no error; the answer is what was.
func (k *Cluster) Delete(ctx context.Context, manifests []byte) ([]Ref, error) {
	objects, err := parse(manifests)
	if err != nil {
		return nil, err
	}
	var done []Ref
	for _, o := range slices.Backward(objects) {
		existed, err := k.DeleteOne(ctx, o.ref)
		if err != nil {
			return done, fmt.Errorf("deleting %s: %w", o.ref, err)
		}
		if existed {
			done = append(done, o.ref)
		}
	}
	return done, nil
}

// DeleteOne removes one object, and what it owns in the background.
func (k *Cluster) DeleteOne(ctx context.Context, ref Ref) (existed bool, err error) {
	return k.delete(ctx, ref, metav1.DeletePropagationBackground)
}

// Orphan removes one object, and leaves what it owns to nobody. The object is
// there until the cluster's garbage collector has seen to that.
func (k *Cluster) Orphan(ctx context.Context, ref Ref) (existed bool, err error) {
	return k.delete(ctx, ref, metav1.DeletePropagationOrphan)
}

func (k *Cluster) delete(ctx context.Context, ref Ref, how metav1.DeletionPropagation) (existed bool, err error) {
	if ref.Name == "" {
		return false, errors.New("deleting: no name")
	}
	path, err := k.path(ctx, ref)
	if err == nil {
		_, err = k.do(ctx, k.rest.Delete().AbsPath(path).Param("propagationPolicy", string(how)))
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

type manifest struct {
	ref  Ref
	json []byte
}

// parse splits manifests into objects, each with a name.
func parse(manifests []byte) ([]manifest, error) {
	if len(manifests) > maxManifests {
		return nil, fmt.Errorf("the manifests are larger than %d MiB", maxManifests>>20)
	}
	var all []manifest
	docs := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifests)))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading manifest %d: %w", n, err)
		}
		b, err := yaml.ToJSON(doc)
		if err != nil {
			return nil, fmt.Errorf("reading manifest %d: not YAML", n) // may be a Secret
		}
		if b = bytes.TrimSpace(b); len(b) == 0 || string(b) == "null" {
			continue
		}
		if all, err = appendObjects(all, b); err != nil {
			return nil, fmt.Errorf("reading manifest %d: %w", n, err)
		}
	}
}

func appendObjects(all []manifest, object []byte) ([]manifest, error) {
	ref, err := refOf(object)
	if err != nil {
		return nil, err
	}
	if ref.APIVersion == "v1" && ref.Kind == "List" {
		var list struct {
			Items []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(object, &list); err != nil {
			return nil, errors.New("a list without items")
		}
		for _, item := range list.Items {
			if inner, err := refOf(item); err == nil && inner.Kind == "List" {
				return nil, errors.New("a list in a list")
			}
			if all, err = appendObjects(all, item); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	if ref.Name == "" {
		return nil, fmt.Errorf("a %s without a name", ref.Kind)
	}
	return append(all, manifest{ref, object}), nil
}
