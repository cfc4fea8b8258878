package vault

import "github.com/lanyard-io/lanyard/internal/model"

// kind is what is different between the kinds of what a vault holds. Everything else
// of an item's life is the same for all.
type kind struct {
	of      model.ItemKind
	missing code // there is none of this name
	// disabled is what reading a disabled version is refused with; 0 where it can be
	// read.
	disabled code
	// show is the answer about a version; versioned puts it into the id.
	show func(c *call, item *model.Item, v *model.ItemVersion, versioned bool) any
}
