package names

import (
	"fmt"
	"slices"
	"strings"
)

// Zoned reads ZONE=NAME; a NAME alone is a vault's.
func (n *Names) Zoned(args []string) (map[Surface][]string, error) {
	things := map[Surface][]string{}
	for _, arg := range args {
		surface, name := Vault, arg
		if zone, rest, ok := strings.Cut(arg, "="); ok {
			surface, name = Surface(zone), rest
		}
		if !slices.ContainsFunc(n.Zones(), func(z Zone) bool { return z.Surface == surface }) {
			return nil, fmt.Errorf("%q: no zone %q", arg, surface)
		}
		things[surface] = append(things[surface], name)
	}
	return things, nil
}
