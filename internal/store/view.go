package store

import (
	"iter"
	"strings"

	"k8s.io/utils/third_party/forked/golang/btree"
)

// View is all objects at one revision, immutable and indexed.
type View struct {
	rev     int64
	objects *btree.BTree[*Entry]
	index   *btree.BTree[indexed]
}

// indexed is one index entry: name is what model.Object.Index gave.
type indexed struct {
	name  string
	entry *Entry
}

const degree = 32

func newView() *View {
	return &View{
		objects: btree.New(degree, func(a, b *Entry) bool { return a.Key < b.Key }),
		index: btree.New(degree, func(a, b indexed) bool {
			if a.name != b.name {
				return a.name < b.name
			}
			return a.entry.Key < b.entry.Key
		}),
	}
}

// next is a copy that may be changed until it is published. The trees share
// their nodes until one is written.
func (v *View) next(rev int64) *View {
	return &View{rev: rev, objects: v.objects.Clone(), index: v.index.Clone()}
}

func (v *View) put(e *Entry) {
	old, existed := v.objects.ReplaceOrInsert(e)
	if existed {
		v.unindex(old)
	}
	for _, name := range e.Value.Index() {
		v.index.ReplaceOrInsert(indexed{name, e})
	}
}

func (v *View) remove(key string) {
	if old, existed := v.objects.Delete(&Entry{Key: key}); existed {
		v.unindex(old)
	}
}

func (v *View) unindex(e *Entry) {
	for _, name := range e.Value.Index() {
		v.index.Delete(indexed{name, e})
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
		v.objects.AscendGreaterOrEqual(&Entry{Key: max(prefix, after)}, func(e *Entry) bool {
			if e.Key == after && after != "" {
				return true
			}
			return strings.HasPrefix(e.Key, prefix) && yield(e)
		})
	}
}

// Lookup walks the objects that carry an index entry (model.Object.Index), in key order.
func (v *View) Lookup(index string) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		v.index.AscendGreaterOrEqual(indexed{index, &Entry{}}, func(i indexed) bool {
			return i.name == index && yield(i.entry)
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
