// Package wiretest plays request scripts against a server under test and holds
// the answers against what the script expects. It is for tests of the surfaces
// only, and knows no protocol but HTTP with JSON.
//
// A script is a text file of exchanges:
//
//	# A comment. Defaults for the requests that follow:
//	@host kv1.vault.example.org
//	@header Authorization: Bearer alice
//
//	## the current version is read with a trailing slash
//	> GET /secrets/db/?api-version=7.4
//	> X-Extra: 1
//	{"a body": "after the headers"}
//	< 200
//	< Cache-Control: no-cache
//	{"value": "hello", "id": "https://{{host}}/secrets/db/{{id}}", "kid": "{{none}}"}
//
// A request line has a path or a whole URL. After "< STATUS" come headers, of
// which each must contain the given text ("< Retry-After:" alone: must be there;
// "< !Name": must not), and a JSON value that the answer's body must hold: all
// members of an object, more may be there; all items of an array, no more.
// A body "< empty" means none.
//
// The body of a request with "> Content-Encoding: gzip" is sent so.
//
// {{name}} in a request stands for a variable. In an expected string or header
// it stands for the variable's value; if it has none yet, it takes what is there
// (one or more characters, no slash or quote) for the rest of the file. {{*}}
// matches anything, {{none}} as a member's value means that there is no such
// member. "> -Name" drops a default header.
package wiretest
