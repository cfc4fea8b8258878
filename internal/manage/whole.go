package manage

import (
	"encoding/json"
	"slices"
)

// Whole is an answer of the server's: Is has what is read of it, All is its own text.
type Whole[T any] struct {
	Is  T
	All json.RawMessage // nil when the text was another, such as the directory's
}

// UnmarshalJSON keeps the text beside what is read of it.
func (w *Whole[T]) UnmarshalJSON(b []byte) error {
	var is T
	if err := json.Unmarshal(b, &is); err != nil {
		return err
	}
	w.Is, w.All = is, slices.Clone(b)
	return nil
}

// MarshalJSON is the server's own text.
func (w Whole[T]) MarshalJSON() ([]byte, error) {
	if w.All == nil {
		return json.Marshal(w.Is)
	}
	return w.All, nil
}

// Parts are what was read of several answers.
func Parts[T any](all []Whole[T]) []T {
	out := make([]T, 0, len(all))
	for _, w := range all {
		out = append(out, w.Is)
	}
	return out
}
