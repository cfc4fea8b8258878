package vault

import "github.com/lanyard-io/lanyard/internal/model"

// kind is one kind of item, as far as it differs from the others. The rest of an
// item's life is the same for all.
type kind struct {
	of      model.ItemKind
	missing *code // there is none of this name
	// disabled is the code with which reading a disabled version is refused; nil: it can
	// be read.
	disabled *code
	// show is the answer about a version; versioned puts it into the id.
	show func(c *call, item *model.Item, v *model.ItemVersion, versioned bool) any
}
