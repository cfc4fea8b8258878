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
	failed    func(error)                         // hears of every attempt to list or watch; nil for success
	trim      func(*metav1.PartialObjectMetadata) // takes away what is not needed; may be nil
}

// pageSize is for API servers that cannot stream a list: those before 1.32, and
// some after.
const pageSize = 500

// reflect lists and watches until ctx ends, with back-off.
func (k *Cluster) reflect(ctx context.Context, r reflection) error {
	log := logr.FromSlogHandler(k.log.Handler())
	client := k.metadata.Resource(r.resource)
	if r.trim == nil {
		r.trim = func(*metav1.PartialObjectMetadata) {}
	}
	narrow := func(o metav1.ListOptions) metav1.ListOptions {
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
			o.ResourceVersion, o.ResourceVersionMatch = "", "" // with a version, a list is not given by pages
			list, err := client.Namespace(r.namespace).List(ctx, narrow(o))
			tell(err)
			if err != nil {
				return nil, err
			}
			for i := range list.Items {
				r.trim(&list.Items[i])
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
	reflector.WatchListPageSize = pageSize
	reflector.RunWithContext(logr.NewContext(ctx, log))
	return nil
}

// accountStore puts what the reflector hears into an Accounts.
type accountStore struct{ a *Accounts }

// row is what remains of a service account that keeps something. Of any other
// only a cache.ExplicitKey remains: the reflector holds a list twice at its end.
type row struct {
	key string // namespace/name
	*kept
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
	return func(o any) (any, error) {
		r, err := s.row(o)
		if err != nil || r.kept != nil {
			return &r, err
		}
		return cache.ExplicitKey(r.key), nil
	}
}

func (s *accountStore) row(o any) (row, error) {
	switch o := o.(type) {
	case *row:
		return *o, nil
	case cache.ExplicitKey:
		return row{key: string(o)}, nil
	case *metav1.PartialObjectMetadata:
		return row{o.Namespace + "/" + o.Name, s.a.keep(o.Annotations)}, nil
	}
	return row{}, fmt.Errorf("a service account that is a %T", o)
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
		s.a.all = map[string]*kept{}
	}
	s.a.all[r.key] = r.kept
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
	all := make(map[string]*kept, len(objects))
	for _, o := range objects {
		r, err := s.row(o)
		if err != nil {
			return err
		}
		all[r.key] = r.kept
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.all, s.a.heard = all, s.a.k.now()
	if !s.a.Synced() {
		close(s.a.synced)
	}
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
