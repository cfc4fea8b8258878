package surfacetest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/names"
)

// Callers plays the check of access tokens: a bearer token is the name of who calls,
// or of what is wrong with it.
type Callers struct {
	Surface names.Surface // where they may call
	Good    map[string]model.Caller
	Bad     map[string]*access.TokenError // any other token is malformed
}

// Authenticate is a surface's.
func (c Callers) Authenticate(r *http.Request, surface names.Surface) (model.Caller, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if who, ok := c.Good[token]; ok && surface == c.Surface {
		return who, nil
	}
	bad, ok := c.Bad[token]
	if !ok {
		bad = &access.TokenError{Reason: access.TokenMalformed}
	}
	return model.Caller{}, apierr.Wrap(bad, apierr.Unauthenticated, "the access token was not accepted")
}

// Plain checks that a catalogue has a code for every kind of error that brings none.
func Plain[C apierr.Code](t *testing.T, plain map[apierr.Kind]C) {
	t.Helper()
	if _, ok := plain[apierr.Internal]; !ok {
		t.Error("there is no code for an error of unknown kind")
	}
	for k := apierr.Internal + 1; k.String() != apierr.Internal.String(); k++ {
		if _, ok := plain[k]; !ok {
			t.Errorf("there is no code for errors of the kind %v", k)
		}
	}
}
