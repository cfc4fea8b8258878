package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// keysURL is where an issuer's key set is. The issuer must be one that a verifier
// can ask: https, with no query.
func keysURL(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return "", fmt.Errorf("issuer %q is no URL", issuer)
	case u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("issuer %q: want https://HOST[/PATH]", issuer)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", fmt.Errorf("issuer %q: no user, query or fragment belongs in it", issuer)
	}
	return strings.TrimSuffix(issuer, "/") + "/" + KeySet, nil
}

// Check fetches the documents as a verifier would and compares them with the
// plan's. It finds a bucket that is not public, or another one's address.
func (p *Plan) Check(ctx context.Context, client *http.Client) error {
	for _, name := range []string{Discovery, KeySet} {
		at := strings.TrimSuffix(p.Issuer, "/") + "/" + name
		got, err := fetch(ctx, client, at)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, p.documents[name].Body) {
			return fmt.Errorf("%s answers with something else: is the issuer's address that of the place? A cache may also keep an older one", at)
		}
	}
	return nil
}

func fetch(ctx context.Context, client *http.Client, at string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, fmt.Errorf("%s does not answer: %w", at, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s: verifiers must be able to read it without signing in", at, res.Status)
	}
	b, err := readAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", at, err)
	}
	return b, nil
}
