package httpx

import (
	"net/http"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

var statuses = map[apierr.Kind]int{
	apierr.Internal:           http.StatusInternalServerError,
	apierr.Invalid:            http.StatusBadRequest,
	apierr.Unauthenticated:    http.StatusUnauthorized,
	apierr.Forbidden:          http.StatusForbidden,
	apierr.NotFound:           http.StatusNotFound,
	apierr.MethodNotAllowed:   http.StatusMethodNotAllowed,
	apierr.Conflict:           http.StatusConflict,
	apierr.PreconditionFailed: http.StatusPreconditionFailed,
	apierr.TooLarge:           http.StatusRequestEntityTooLarge,
	apierr.Throttled:          http.StatusTooManyRequests,
	apierr.Unavailable:        http.StatusServiceUnavailable,
	apierr.Timeout:            http.StatusRequestTimeout,
	apierr.Unsupported:        http.StatusUnsupportedMediaType,
}

// Status is HTTP's status for a kind of error. A surface's vendor may have another.
func Status(k apierr.Kind) int {
	if status, ok := statuses[k]; ok {
		return status
	}
	return http.StatusInternalServerError
}
