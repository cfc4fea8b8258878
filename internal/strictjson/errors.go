package strictjson

import (
	"fmt"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// Fault is what is wrong with a document.
type Fault uint8

// The faults.
const (
	Syntax    Fault = iota // not JSON
	NotUTF8                // nor text
	NotObject              // another value than the one that Object reads
	Depth                  // nested deeper than the limit
	Twice                  // two members of one object that are one to encoding/json
	Surrogate              // half a surrogate pair, which would be replaced
)

// Error says what is wrong with a document, and where.
type Error struct {
	Fault Fault
	At    int    // bytes before it
	Name  string // of the member that is there twice
	most  int
}

func (e *Error) Error() string {
	switch e.Fault {
	case NotObject:
		return "not a JSON object"
	case Depth:
		return fmt.Sprintf("JSON nested deeper than %d", e.most)
	case Twice:
		return fmt.Sprintf("member %s is there twice", apierr.Quoted(e.Name, maxQuoted))
	case Surrogate:
		return "string with half a surrogate pair"
	case Syntax, NotUTF8:
	}
	return "not valid JSON"
}

// maxQuoted is how many bytes of a name an error repeats.
const maxQuoted = 256
