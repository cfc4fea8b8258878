package graph

import (
	"net/url"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/odata"
)

// path is a parsed URL path: shape is its form with every key as "*", in lower
// case, such as "applications/*/addpassword".
type path struct {
	shape string
	keys  []key
}

// key picks one object of a collection: by its id or, in applications(appId='…'),
// by an alternate key.
type key struct {
	value string
	by    string // the alternate key's name, in lower case
}

const (
	byAppID      = "appid"
	byUniqueName = "uniquename"
	byName       = "name"
)

const maxPath = 600

// collections are the segments after which a key may stand, with the alternate
// keys that are known there.
var collections = map[string][]string{
	"applications": {byAppID, byUniqueName}, "serviceprincipals": {byAppID}, "federatedidentitycredentials": {byName},
	"users": {"userprincipalname"}, "groups": {byUniqueName},
}

// parsePath reads /v1.0/COLLECTION/KEY/NAVIGATION/KEY, with keys as segments or
// in parentheses.
// https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html#sec_CanonicalURL
func parsePath(escaped string) (path, bool) {
	rest, ok := strings.CutPrefix(escaped, "/v1.0/")
	if !ok || len(escaped) > maxPath {
		return path{}, false
	}
	var p path
	var shape []string
	collection := "" // a key of it may come
	for part := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		segment, err := url.PathUnescape(part)
		if err != nil {
			return path{}, false
		}
		if collection != "" {
			p.keys, shape, collection = append(p.keys, key{value: segment}), append(shape, "*"), ""
			continue
		}
		name, argument, parenthesised := strings.Cut(segment, "(")
		name = strings.ToLower(name)
		shape = append(shape, name)
		alternates, keyed := collections[name]
		switch {
		case parenthesised:
			k, ok := parseKey(argument, alternates)
			if !ok || !keyed {
				return path{}, false
			}
			p.keys, shape = append(p.keys, k), append(shape, "*")
		case keyed:
			collection = name
		}
	}
	p.shape = strings.Join(shape, "/")
	return p, true
}

// parseKey reads a key after its opening parenthesis: 'VALUE') or NAME='VALUE').
func parseKey(s string, alternates []string) (key, bool) {
	s, ok := strings.CutSuffix(s, ")")
	if !ok {
		return key{}, false
	}
	var k key
	if name, value, named := strings.Cut(s, "="); named && !strings.Contains(name, "'") {
		k.by, s = strings.ToLower(name), value
		switch {
		case k.by == "id":
			k.by = ""
		case !slices.Contains(alternates, k.by):
			return key{}, false
		}
	}
	k.value, ok = odata.Unquote(s)
	return k, ok && k.value != ""
}
