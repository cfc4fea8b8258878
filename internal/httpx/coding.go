package httpx

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// zipped tells whether a body is coded with gzip, once. No other coding is read:
// https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding
func zipped(r *http.Request) (bool, error) {
	codings := r.Header["Content-Encoding"]
	if len(codings) == 0 {
		return false, nil
	}
	all := strings.Join(codings, ",")
	count := 0
	for coding := range strings.SplitSeq(all, ",") {
		switch strings.ToLower(strings.Trim(coding, " \t")) {
		case "", "identity":
		case "gzip", "x-gzip":
			count++
		default:
			count = 2
		}
		if count > 1 {
			return false, apierr.New(apierr.Unsupported,
				"the body has the Content-Encoding '%s'; send it as it is, or with gzip, once", apierr.Shown(all, 64))
		}
	}
	return count == 1, nil
}

// unzip reads a body that is coded with gzip. The route's limit holds for the coded
// bytes and for the decoded ones. There must be one member and nothing behind it:
// readers differ in what they make of more.
func unzip(r *http.Request) ([]byte, error) {
	sent := &sender{r: r.Body}
	in := bufio.NewReaderSize(sent, 4<<10) // an io.ByteReader: gzip reads nothing ahead of it
	if _, err := in.Peek(1); errors.Is(err, io.EOF) && sent.err == nil {
		return nil, nil
	}
	var b bytes.Buffer
	z, err := gzip.NewReader(in)
	if err == nil {
		z.Multistream(false)
		limit := exchangeOf(r).maxBody
		var n int64
		if n, err = b.ReadFrom(io.LimitReader(z, limit+1)); n > limit {
			return nil, tooLarge(limit, nil)
		}
	}
	behind := false
	if err == nil {
		_, end := in.Peek(1)
		behind = end == nil
	}
	switch {
	case sent.err != nil:
		return nil, bodyError(r, sent.err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, apierr.Wrap(err, apierr.Invalid, "the body ended early: its gzip stream has no end")
	case err != nil:
		return nil, apierr.Wrap(err, apierr.Invalid, "the body is not gzip, which its Content-Encoding says it is")
	case behind:
		return nil, apierr.New(apierr.Invalid, "the body goes on after the end of its gzip stream")
	}
	return b.Bytes(), nil
}

// sender remembers why the client's bytes ended too early.
type sender struct {
	r   io.Reader
	err error
}

func (s *sender) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}
