package httpx

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/lanyard-io/lanyard/internal/apierr"
)

// normalise makes the path one that ServeMux takes as it is, so that it never
// cleans one route's path into another's. Runs of slashes become one (clients
// join endpoint and path by concatenation); dot segments, encoded or not, and
// control bytes are refused.
func normalise(r *http.Request) error {
	u := r.URL
	if u.Path == "" || u.Path == "/" {
		if u.Path == "" {
			r.URL = with(u, "/", "")
		}
		return nil
	}
	if u.Path[0] != '/' {
		return apierr.New(apierr.Invalid, "The path must begin with a slash.")
	}
	runs, err := checkPath(u.Path)
	if err != nil {
		return err
	}
	if u.RawPath == "" {
		if runs {
			r.URL = with(u, collapse(u.Path), "")
		}
		return nil
	}
	return normaliseRaw(r)
}

// normaliseRaw is normalise for a path whose spelling matters (it has %2F, or
// needless escapes). Only slashes that were sent as slashes are collapsed.
func normaliseRaw(r *http.Request) error {
	raw := collapse(r.URL.RawPath)
	path, err := url.PathUnescape(raw)
	if err != nil {
		return apierr.New(apierr.Invalid, "The path has a broken percent escape.")
	}
	u := with(r.URL, path, raw)
	if u.EscapedPath() != raw {
		// Bytes that belong escaped were sent raw, so net/url will not use this
		// spelling, and would turn %2F into a separator.
		if strings.Contains(strings.ToLower(raw), "%2f") {
			return apierr.New(apierr.Invalid, "The path has bytes that must be percent-encoded.")
		}
		u.Path, u.RawPath = collapse(path), ""
	}
	r.URL = u
	return nil
}

func with(u *url.URL, path, raw string) *url.URL {
	c := *u
	c.Path, c.RawPath = path, raw
	return &c
}

// checkPath refuses dot segments and control bytes in a decoded path, and says whether
// it has runs of slashes.
func checkPath(path string) (runs bool, err error) {
	segment := 0 // where the current segment starts
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			if path[i] < 0x20 || path[i] == 0x7f {
				return false, apierr.New(apierr.Invalid, "The path has a control character.")
			}
			continue
		}
		switch s := path[segment:i]; s {
		case ".", "..":
			return false, apierr.New(apierr.Invalid, "The path has a dot segment.")
		case "":
			runs = runs || i > 0 && i < len(path)
		}
		segment = i + 1
	}
	if !utf8.ValidString(path) {
		return false, apierr.New(apierr.Invalid, "The path is not UTF-8.")
	}
	return runs, nil
}

func collapse(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	b := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] != '/' || len(b) == 0 || b[len(b)-1] != '/' {
			b = append(b, path[i])
		}
	}
	return string(b)
}
