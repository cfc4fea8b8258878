package sts

import (
	"slices"
	"strings"
)

const (
	defaultScope = "/.default"
	maxScope     = 2048
)

// oidcScopes are about users. MSAL for Go sends them with every grant, so a
// client-credentials request may carry them without meaning anything.
var oidcScopes = map[string]bool{"openid": true, "offline_access": true, "profile": true, "email": true}

// readResource reads what a client asks for itself: scope=, or at the older endpoint
// also resource=, which is the audience as it is.
func (q *request) readResource() (err error) {
	resource, scope := q.form.Get("resource"), q.form.Get("scope")
	switch {
	case q.v1 && resource != "":
		if len(resource) > maxScope || !scopeToken(resource) {
			return refuse(codeScope, "The provided value for the input parameter 'resource' is not valid: %s.", quote(firstWord(resource)))
		}
		q.scope.resource, q.scope.olderForm = resource, true
		return nil
	case scope != "":
		q.scope.resource, err = resourceOf(scope)
		return err
	case q.v1:
		return missing("resource")
	}
	return missing("scope")
}

// resourceOf finds the one resource in a client-credentials scope. A resource
// that ends with a slash makes a double slash before .default, and keeps its own.
func resourceOf(scope string) (string, error) {
	if len(scope) > maxScope {
		return "", refuse(codeScope, "The scope has %d bytes, at most %d are allowed.", len(scope), maxScope)
	}
	resource, seen := "", false
	for word := range strings.SplitSeq(scope, " ") {
		if word == "" || oidcScopes[word] {
			continue
		}
		if !scopeToken(word) {
			return "", refuse(codeScope, "The provided value for the input parameter 'scope' is not valid: %s holds a character that a scope cannot have.", quote(firstWord(word)))
		}
		r, ok := strings.CutSuffix(word, defaultScope)
		if !ok {
			return "", refuse(codeScopeDefault, "The provided value for scope %s is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", quote(firstWord(word)))
		}
		if strings.Trim(r, "/") == "" {
			return "", refuse(codeScope, "The provided value for the input parameter 'scope' is not valid: %s names no resource before /.default.", quote(firstWord(word)))
		}
		if seen && r != resource {
			return "", refuse(codeScope, "The provided value for the input parameter 'scope' is not valid: it names more than one resource, %s and %s.", quote(resource), quote(r))
		}
		resource, seen = r, true
	}
	if !seen {
		return "", refuse(codeScopeDefault, "The scope %s names no resource. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", quote(firstWord(scope)))
	}
	return resource, nil
}

// scopeToken checks the characters: https://www.rfc-editor.org/rfc/rfc6749#section-3.3
func scopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// scope is what a client asks for: one resource's scopes, and for a person OpenID's.
type scope struct {
	resource string // empty: the directory
	// olderForm: it was asked for with resource=, and so is the answer's form.
	olderForm bool
	words     []string
	offline   bool // wants a refresh token
	openid    bool // wants an id token
}

// readScope reads what a client asks for a person.
func (q *request) readScope() (err error) {
	text := q.form.Get("scope")
	if text == "" {
		return missing("scope")
	}
	q.scope, err = readUserScope(text)
	return err
}

// readUserScope reads the scopes of a user grant. One without a resource before
// it, such as User.Read, is the directory's.
func readUserScope(text string) (u scope, err error) {
	if len(text) > maxScope {
		return u, refuse(codeScope, "The scope has %d bytes, at most %d are allowed.", len(text), maxScope)
	}
	seen := false
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case word == "":
			continue
		case !scopeToken(word):
			return u, refuse(codeScope, "The provided value for the input parameter 'scope' is not valid: %s holds a character that a scope cannot have.", quote(firstWord(word)))
		case oidcScopes[word]:
			u.offline, u.openid = u.offline || word == "offline_access", u.openid || word == "openid"
			if word != "offline_access" {
				u.words = append(u.words, word)
			}
			continue
		}
		resource := ""
		if i := strings.LastIndexByte(word, '/'); i >= 0 {
			if resource = word[:i]; strings.Trim(resource, "/") == "" || i == len(word)-1 {
				return u, refuse(codeScope, "The provided value for the input parameter 'scope' is not valid: %s.", quote(firstWord(word)))
			}
		}
		if seen && resource != u.resource {
			return u, refuse(codeScopeResources, "Provided value for the input parameter scope is not valid because it contains more than one resource, %s and %s.", quote(u.resource), quote(resource))
		}
		u.resource, seen = resource, true
		u.words = append(u.words, word)
	}
	return u, nil
}

// impersonation is the one scope of our surfaces. It gives the client all rights of the user.
const impersonation = "user_impersonation"

// granted is the answer's scope: what was asked for, and what it means.
func (u *scope) granted() string {
	words := u.words
	if u.resource != "" {
		if full := u.resource + "/" + impersonation; !slices.Contains(words, full) {
			words = append([]string{full}, words...)
		}
	}
	return strings.Join(words, " ")
}
