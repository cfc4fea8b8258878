package arm

import (
	"testing"

	"github.com/lanyard-io/lanyard/internal/surfacetest"
)

func TestPlainErrors(t *testing.T) { surfacetest.Plain(t, plain) }
