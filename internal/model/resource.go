package model

// Common is what every ARM resource has; each type that embeds Resource has
// this method.
func (r *Resource) Common() *Resource { return r }
