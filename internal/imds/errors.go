package imds

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Error is a refusal as the client sees it. Clients try again after 404, 410,
// 429 and 5xx, and take any other status as final.
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling
type Error struct {
	Status     int
	Code       string // OAuth's: invalid_request, …
	Detail     string
	RetryAfter string // header, if any
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

func invalid(detail string) error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: detail}
}

func wrongMethod(r *http.Request) error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "invalid_request", Detail: "The method " + r.Method + " is not served"}
}

// NotFound refuses an identity in the words that clients know.
func NotFound(why string) error {
	detail := "Identity not found"
	if why != "" {
		detail += ". " + why
	}
	return invalid(detail)
}

func unavailable(detail string) error {
	return &Error{Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable", Detail: detail, RetryAfter: "2"}
}

// wire is what of an error a client may see.
func wire(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Status: http.StatusInternalServerError, Code: "unknown", Detail: "The token could not be had: see the log"}
}

func writeError(w http.ResponseWriter, err error) {
	e := wire(err)
	writeJSON(w, e, struct {
		Error  string `json:"error"`
		Detail string `json:"error_description"`
	}{e.Code, e.Detail})
}

// writeAppServiceError has App Service's members, and also those of OAuth.
func writeAppServiceError(w http.ResponseWriter, err error) {
	e := wire(err)
	writeJSON(w, e, struct {
		Status  int    `json:"statusCode"`
		Message string `json:"message"`
		Error   string `json:"error"`
		Detail  string `json:"error_description"`
	}{e.Status, e.Detail, e.Code, e.Detail})
}

func writeJSON(w http.ResponseWriter, e *Error, body any) {
	h := w.Header()
	if e.RetryAfter != "" {
		h.Set("Retry-After", e.RetryAfter)
	}
	if e.Status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodGet)
	}
	send(w, e.Status, body)
}

func send(w http.ResponseWriter, status int, body any) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that has gone away needs no answer.
	_ = json.NewEncoder(w).Encode(body)
}

// answer writes a token as the metadata service does: every value is a string.
func answer(w http.ResponseWriter, q Request, t Token, now time.Time) {
	in := seconds(t, now)
	send(w, http.StatusOK, struct {
		Token      string `json:"access_token"`
		ClientID   string `json:"client_id"`
		Expires    string `json:"expires_in"`
		ExpiresOn  string `json:"expires_on"`
		ExtExpires string `json:"ext_expires_in"`
		NotBefore  string `json:"not_before"`
		Resource   string `json:"resource"`
		Type       string `json:"token_type"`
	}{t.Value, t.ClientID, in, unix(t.Expires), in, unix(t.NotBefore), q.Resource, "Bearer"})
}

func answerAppService(w http.ResponseWriter, q Request, t Token, _ time.Time) {
	send(w, http.StatusOK, struct {
		Token     string `json:"access_token"`
		ClientID  string `json:"client_id"`
		ExpiresOn string `json:"expires_on"`
		Resource  string `json:"resource"`
		Type      string `json:"token_type"`
	}{t.Value, t.ClientID, unix(t.Expires), q.Resource, "Bearer"})
}

func seconds(t Token, now time.Time) string {
	return strconv.FormatInt(max(0, int64(t.Expires.Sub(now)/time.Second)), 10)
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
