package clusterdns

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z][a-z0-9-]{2,23}`), rapid.ID).Draw(t, "names")
		slices.Sort(names)
		var all []string
		for _, b := range buckets(names, 3) {
			if len(b) > 3 {
				t.Errorf("a bucket of %d", len(b))
			}
			if !slices.IsSorted(b) {
				t.Errorf("not in order: %q", b)
			}
			all = append(all, b...)
		}
		slices.Sort(all)
		if !slices.Equal(all, names) {
			t.Errorf("got %q, want %q", all, names)
		}
	})
}

func TestOneMoreNameChangesOneBucket(t *testing.T) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("vault-%d", i))
	}
	before, after := buckets(names, maxEndpoints), buckets(append(names, "another"), maxEndpoints)
	changed := 0
	for i := range before {
		if !slices.Equal(before[i], after[i]) {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d of %d buckets changed", changed, len(before))
	}
}
