package kube

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// reflection is what to follow, and where to put what is heard.
type reflection struct {
	resource  schema.GroupVersionResource
	namespace string
	name      string // only this object
	store     cache.ReflectorStore
	failed    func(error) // hears of every attempt to list or watch; nil for success
}

// reflect lists and watches until ctx ends, with back-off.
func (k *Cluster) reflect(ctx context.Context, r reflection) error {
	log := logr.FromSlogHandler(k.log.Handler())
	client := k.metadata.Resource(r.resource)
	var narrow = func(o metav1.ListOptions) metav1.ListOptions {
		if r.name != "" {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", r.name).String()
		}
		return o
	}
	tell := func(err error) {
		if r.failed != nil {
			r.failed(k.explain(err))
		}
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := client.Namespace(r.namespace).List(ctx, narrow(o))
			tell(err)
			if err != nil {
				return nil, err
			}
			return list, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			w, err := client.Namespace(r.namespace).Watch(ctx, narrow(o))
			tell(err)
			return w, err
		},
	}
	reflector := cache.NewReflectorWithOptions(
		cache.ToListWatcherWithWatchListSemantics(lw, k.metadata), &metav1.PartialObjectMetadata{}, r.store,
		cache.ReflectorOptions{Logger: &log, Name: r.resource.Resource, TypeDescription: r.resource.Resource})
	reflector.RunWithContext(logr.NewContext(ctx, log))
	return nil
}

// accountStore puts what the reflector hears into an Accounts.
type accountStore struct{ a *Accounts }

// row is what remains of a service account once it was read.
type row struct {
	key         string // namespace/name
	annotations map[string]string
}

// GetObjectMeta implements metav1.ObjectMetaAccessor, by which the reflector's
// own store finds the key.
func (r *row) GetObjectMeta() metav1.Object {
	namespace, name, _ := strings.Cut(r.key, "/")
	return &metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// Transformer implements cache.TransformingStore: a full object lives no longer
// than it takes to read it.
func (s *accountStore) Transformer() cache.TransformFunc {
	return func(o any) (any, error) { return s.row(o) }
}

func (s *accountStore) row(o any) (*row, error) {
	switch o := o.(type) {
	case *row:
		return o, nil
	case *metav1.PartialObjectMetadata:
		return &row{key: o.Namespace + "/" + o.Name, annotations: s.a.keep(o.Annotations)}, nil
	}
	return nil, fmt.Errorf("a service account that is a %T", o)
}

// Add implements cache.ReflectorStore.
func (s *accountStore) Add(o any) error { return s.put(o) }

// Update implements cache.ReflectorStore.
func (s *accountStore) Update(o any) error { return s.put(o) }

func (s *accountStore) put(o any) error {
	r, err := s.row(o)
	if err != nil {
		return err
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	if s.a.all == nil {
		s.a.all = map[string]map[string]string{}
	}
	s.a.all[r.key] = r.annotations
	s.a.heard = s.a.k.now()
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *accountStore) Delete(o any) error {
	r, err := s.row(o)
	if err != nil {
		return err
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	delete(s.a.all, r.key)
	s.a.heard = s.a.k.now()
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *accountStore) Replace(objects []any, _ string) error {
	all := make(map[string]map[string]string, len(objects))
	for _, o := range objects {
		r, err := s.row(o)
		if err != nil {
			return err
		}
		all[r.key] = r.annotations
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.all, s.a.synced, s.a.heard = all, true, s.a.k.now()
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *accountStore) Resync() error { return nil }

// Bookmark implements cache.ReflectorBookmarkStore.
func (s *accountStore) Bookmark(string) error {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.heard = s.a.k.now()
	return nil
}

// Watch calls changed when an object appears, changes or goes, until ctx ends:
// once at least, and perhaps without need. Only the object's own name has to be
// permitted.
func (k *Cluster) Watch(ctx context.Context, ref Ref, changed func()) error {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return err
	}
	resource, err := k.resource(ctx, ref)
	if err != nil {
		return err
	}
	return k.reflect(ctx, reflection{
		resource: gv.WithResource(resource.Name), namespace: ref.Namespace, name: ref.Name, store: notifier(changed),
	})
}

// notifier is a store that keeps nothing.
type notifier func()

func (n notifier) tell() error { n(); return nil }

// Add implements cache.ReflectorStore.
func (n notifier) Add(any) error { return n.tell() }

// Update implements cache.ReflectorStore.
func (n notifier) Update(any) error { return n.tell() }

// Delete implements cache.ReflectorStore.
func (n notifier) Delete(any) error { return n.tell() }

// Replace implements cache.ReflectorStore.
func (n notifier) Replace([]any, string) error { return n.tell() }

// Resync implements cache.ReflectorStore.
func (n notifier) Resync() error { return nil }
