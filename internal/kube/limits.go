package kube

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"k8s.io/apimachinery/pkg/api/validate/content"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// An API server may be anybody's: a cluster that is attached is not ours.
const (
	maxAnswer   = 32 << 20  // bytes of an answer
	maxFollowed = 512 << 20 // of the list of all that is followed, which is read whole
	maxEvent    = 8 << 20   // of one event of a watch, whose answer does not end
	maxPages    = 200       // of a list
	maxMessage  = 2048      // bytes of an error
)

var (
	errRedirect = errors.New("it redirects elsewhere, and that is not followed")
	errEvent    = fmt.Errorf("an event of more than %d MiB", maxEvent>>20)
)

// bounded is a client that reads limited answers and follows no redirect: one
// would carry the credentials to wherever it says, and answer from there.
func bounded(c *http.Client, limit int64) *http.Client {
	return &http.Client{
		Transport: limited{c.Transport, limit}, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

type limited struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if r.URL.Query().Get("watch") == "true" {
		resp.Body = &events{ReadCloser: resp.Body}
	} else {
		resp.Body = http.MaxBytesReader(nil, resp.Body, l.limit) // after decompression
	}
	return resp, nil
}

// CloseIdleConnections is what http.Client looks for; client-go's transports
// have it somewhere below.
func (l limited) CloseIdleConnections() { utilnet.CloseIdleConnectionsFor(l.next) }

// events is the answer to a watch: lines of JSON.
type events struct {
	io.ReadCloser
	line int // bytes since the last line break
}

// Read implements io.Reader.
func (e *events) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if i := bytes.LastIndexByte(p[:n], '\n'); i >= 0 {
		e.line = n - i - 1
	} else if e.line += n; e.line > maxEvent {
		return 0, errEvent
	}
	return n, err
}

// checkNames refuses what would lead a path elsewhere. No object has such a name.
func checkNames(names ...string) error {
	for _, name := range names {
		if len(content.IsPathSegmentName(name)) > 0 {
			return &Error{Status: http.StatusNotFound, Message: fmt.Sprintf("nothing can have the name %.64q", name), kind: ErrNotFound}
		}
	}
	return nil
}
