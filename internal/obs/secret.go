package obs

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden stands for a secret in everything that is printed.
const hidden = "…"

// Secret is text that must not be printed: however it is logged, formatted or
// marshalled, it reads "…". Convert it to a string to use it. It is no good as
// the key of a map: encoding/json writes keys of kind string as they are.
type Secret string

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// Format implements fmt.Formatter: verbs that pass Stringer by, such as %d,
// would print the text inside their complaint.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
