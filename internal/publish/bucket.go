package publish

import (
	"fmt"
	"net/url"
	"slices"
)

// openBucket opens the kinds of buckets that this program is built with. Each has
// one lean client. Google's buckets answer like S3's, with HMAC keys.
func openBucket(scheme, to string) (Place, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q names no bucket: want %s://BUCKET", to, scheme)
	}
	switch scheme {
	case "s3":
		return openS3(u)
	case "azblob":
		return openAzure(u)
	}
	return nil, fmt.Errorf("%s:// is no place that documents can be written to: want a folder, s3:// or azblob://", scheme)
}

// parameters are a bucket URL's query; one that is not among known is refused.
func parameters(u *url.URL, known ...string) (url.Values, error) {
	query := u.Query()
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s:// has no parameter %q: want one of %q", u.Scheme, name, known)
		}
	}
	return query, nil
}
