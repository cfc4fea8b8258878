package graph

import (
	"strings"

	"github.com/lanyard-io/lanyard/internal/model"
)

// path is a parsed URL path: shape is its form with every key as "*", in lower
// case, such as "applications/*/addpassword".
type path struct {
	shape string
	keys  []key
}

// key picks one object of a collection: by its id or, in applications(appId='…'),
// by its client id.
type key struct {
	value   string
	byAppID bool
}

const maxPath = 600

// collections are the segments after which a key may stand.
var collections = map[string]bool{
	"applications": true, "serviceprincipals": true, "users": true, "groups": true, "federatedidentitycredentials": true,
}

// parsePath reads /v1.0/COLLECTION/KEY/NAVIGATION/KEY, with keys as segments or
// in parentheses.
// https://docs.oasis-open.org/odata/odata/v4.01/odata-v4.01-part2-url-conventions.html#sec_CanonicalURL
func parsePath(s string) (path, bool) {
	rest, ok := strings.CutPrefix(s, "/v1.0/")
	if !ok || len(s) > maxPath {
		return path{}, false
	}
	var p path
	var shape []string
	keyed := false // a key may come
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		if keyed {
			p.keys, shape, keyed = append(p.keys, key{value: segment}), append(shape, "*"), false
			continue
		}
		name, argument, parenthesised := strings.Cut(segment, "(")
		name = strings.ToLower(name)
		shape, keyed = append(shape, name), collections[name]
		if !parenthesised {
			continue
		}
		k, ok := parseKey(argument)
		if !ok || !keyed {
			return path{}, false
		}
		p.keys, shape, keyed = append(p.keys, k), append(shape, "*"), false
	}
	p.shape = strings.Join(shape, "/")
	return p, true
}

// parseKey reads what follows the opening parenthesis: 'ID') or appId='ID').
func parseKey(s string) (key, bool) {
	s, ok := strings.CutSuffix(s, ")")
	if !ok {
		return key{}, false
	}
	var k key
	const appID = "appid="
	if len(s) > len(appID) && strings.EqualFold(s[:len(appID)], appID) {
		k.byAppID, s = true, s[len(appID):]
	}
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return key{}, false
	}
	k.value = s[1 : len(s)-1]
	return k, model.ValidUUID(k.value)
}
