package obs

import "context"

// Request has the members of every record and log line of one request. It is the
// one thing besides the caller that travels in a context.
type Request struct {
	ID          string // ours: x-ms-request-id, trace_id; a UUID
	Correlation string // the client's client-request-id if it sent a sound one, else ID
	Remote      string // the peer's address, without port
	Host        string // the Host header as routed, lower case
	Act         any    // the act that the gate has let begin; the gate's own
}

type requestKey struct{}

// WithRequest adds the request to the context.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestFrom is the context's request; never nil.
func RequestFrom(ctx context.Context) *Request {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		return r
	}
	return &Request{}
}
