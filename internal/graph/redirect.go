package graph

import (
	"net/url"
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
)

// redirects are the redirect URIs of one kind of client.
// https://learn.microsoft.com/graph/api/resources/publicclientapplication
type redirects struct {
	URIs []string `json:"redirectUris"`
}

// Limits of an application's redirect URIs.
// https://learn.microsoft.com/entra/identity-platform/reply-url
const (
	maxRedirects = 256
	maxRedirect  = 256
)

// applyRedirects sets the addresses that people are sent to when they have signed in.
func (in *applicationInput) applyRedirects(a *model.Application) error {
	if in.SPA != nil && len(in.SPA.URIs) > 0 {
		return fail(badRequest, "The property 'spa' is not supported: clients that run in a page cannot redeem codes here.")
	}
	if in.Fallback != nil {
		a.Public = *in.Fallback
	}
	for _, r := range []struct {
		in  *redirects
		out *[]string
	}{{in.Public, &a.PublicRedirects}, {in.Web, &a.WebRedirects}} {
		if r.in == nil || r.in.URIs == nil {
			continue
		}
		if len(r.in.URIs) > maxRedirects {
			return fail(badRequest, "The property 'redirectUris' has %d values, at most %d are allowed.", len(r.in.URIs), maxRedirects)
		}
		for _, uri := range r.in.URIs {
			if !validRedirect(uri) {
				return fail(badRequest, "One or more values of the property 'redirectUris' is invalid: '%.100s' must be an https URL, or http on localhost, without a fragment, a user and wildcards.", uri)
			}
		}
		*r.out = r.in.URIs
	}
	return nil
}

// validRedirect allows addresses on whose way nobody can listen in: TLS, or this
// machine.
func validRedirect(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxRedirect || u.Host == "" || u.User != nil || strings.ContainsAny(s, "#*\\ \"'<>;,") || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return false
	}
	host := u.Hostname()
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || host == "127.0.0.1" || host == "::1")
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
