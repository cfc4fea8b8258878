package admission

import (
	"context"
	"encoding/json"
	"errors"
)

// Account is what is read of a service account.
type Account struct {
	Namespace   string
	Name        string
	Annotations map[string]string
}

// Accounts finds service accounts; on a miss it asks the API server before it
// says ErrNoAccount.
type Accounts interface {
	Account(ctx context.Context, namespace, name string) (Account, error)
}

// ErrNoAccount says that there is no such service account.
var ErrNoAccount = errors.New("no such service account")

// Op is an operation of a JSON patch (RFC 6902).
type Op struct {
	Op    string          `json:"op"` // add, replace or remove
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Patch is what Mutate decided. No operations means that the pod is as it should be.
type Patch struct {
	Ops      []Op
	Warnings []string // for the person at kubectl
	ClientID string   // the identity that the pod gets; may be empty
	Touched  int      // containers that an operation adds or changes
}

// Mutate computes the patch for a pod, given as JSON. It touches nothing but
// what it adds, and what it added before and the service account no longer
// says. Errors are apierr.Invalid with a sentence for the pod's author.
func Mutate(c *Config, pod []byte, namespace string, account Account) (Patch, error) {
	return Patch{}, nil
}
