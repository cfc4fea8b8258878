package store

import (
	"cmp"
	"hash/maphash"
	"iter"
	"slices"
	"strings"

	"k8s.io/utils/third_party/forked/golang/btree"

	"github.com/lanyard-io/lanyard/internal/model"
)

// Entry is a stored object with its revisions. It is immutable: clone the
// Value before changing it.
type Entry struct {
	Key       string
	Value     model.Object
	Rev       int64 // etcd's mod revision: the ETag
	CreateRev int64
}

// View is all objects at one revision, immutable and indexed. Reading it takes no lock.
type View struct {
	rev     int64
	objects *btree.BTree[*Entry]
	index   *btree.BTree[posting]
	seed    maphash.Seed
}

// posting is one index entry. The hash stands for the index's name, which would
// take more memory than all the rest; a reader compares the name itself.
type posting struct {
	hash  uint64
	entry *Entry
}

// degree of the B-trees: a write copies a path of nodes of at most twice that size.
const degree = 32

func newView() *View {
	return &View{
		objects: btree.New(degree, func(a, b *Entry) bool { return a.Key < b.Key }),
		index: btree.New(degree, func(a, b posting) bool {
			return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(a.entry.Key, b.entry.Key)) < 0
		}),
		seed: maphash.MakeSeed(),
	}
}

// Rev is the revision that the View shows.
func (v *View) Rev() int64 { return v.rev }

// Len is how many objects there are.
func (v *View) Len() int { return v.objects.Len() }

// Get finds an object by its key; nil when there is none.
func (v *View) Get(key string) *Entry {
	e, _ := v.objects.Get(&Entry{Key: key})
	return e
}

// Prefix walks the objects whose key starts with prefix, in key order, from the
// first key > after (pass "" to start at the beginning).
func (v *View) Prefix(prefix, after string) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		from := prefix
		if after >= prefix && after != "" {
			from = after + "\x00"
		}
		v.objects.AscendGreaterOrEqual(&Entry{Key: from}, func(e *Entry) bool {
			return strings.HasPrefix(e.Key, prefix) && yield(e)
		})
	}
}

// Lookup walks the objects that carry an index entry (model.Object.Index), in key order.
func (v *View) Lookup(index string) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		from := v.posting(index, &Entry{})
		v.index.AscendGreaterOrEqual(from, func(p posting) bool {
			if p.hash != from.hash {
				return false
			}
			return !slices.Contains(p.entry.Value.Index(), index) || yield(p.entry)
		})
	}
}

// First is the first object that carries an index entry; nil when there is none.
func (v *View) First(index string) *Entry {
	for e := range v.Lookup(index) {
		return e
	}
	return nil
}

func (v *View) posting(index string, e *Entry) posting {
	return posting{maphash.String(v.seed, index), e}
}

// next is a View that may be changed until it is published. It shares with v
// all that does not change. Only one may be made at a time.
func (v *View) next() *View {
	return &View{rev: v.rev, objects: v.objects.Clone(), index: v.index.Clone(), seed: v.seed}
}

// at is v at a later revision that changed none of our objects.
func (v *View) at(rev int64) *View {
	return &View{rev: rev, objects: v.objects, index: v.index, seed: v.seed}
}

// put gives the entry that e replaces; nil when there was none.
func (v *View) put(e *Entry) (old *Entry) {
	old, replaced := v.objects.ReplaceOrInsert(e)
	if replaced {
		v.unindex(old)
	}
	for _, i := range e.Value.Index() {
		v.index.ReplaceOrInsert(v.posting(i, e))
	}
	return old
}

func (v *View) remove(key string) {
	if old, ok := v.objects.Delete(&Entry{Key: key}); ok {
		v.unindex(old)
	}
}

func (v *View) unindex(e *Entry) {
	for _, i := range e.Value.Index() {
		v.index.Delete(v.posting(i, e))
	}
}
