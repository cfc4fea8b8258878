package model

import (
	"strings"
	"testing"
)

// The stored form, and the URL that clusters' pods are configured with, are
// promises to every later version.
func TestStoredFormatOfIdentityBindings(t *testing.T) {
	o := &IdentityBinding{
		Resource: Resource{ID: "/Sub/C/identityBindings/X", Name: "X"}, ClusterKey: "/sub/c",
		IdentityID: "/sub/I", ClientID: "CC", PrincipalID: "p",
	}
	b, err := Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"v":1,"kind":"IdentityBinding","data":{"id":"/Sub/C/identityBindings/X","name":"X",` +
		`"system":{"createdAt":"0001-01-01T00:00:00Z","modifiedAt":"0001-01-01T00:00:00Z"},"cluster":"/sub/c","identity":"/sub/I","clientId":"CC","principalId":"p"}}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	const path = "/identitybinding/ape3kel8ojb2st4sonqkmnrdforf4g4q18iknbf8p5pvl0n30o8dg"
	if got := BindingPath("/sub/c"); got != path {
		t.Errorf("the path is %s, want %s", got, path)
	}
	if token := ClusterToken("/sub/c"); len(token) > 63 || o.Index()[0] != "binding/"+token+"/cc" || strings.ToLower(token) != token {
		t.Errorf("token %q, index %v", token, o.Index())
	}
}
