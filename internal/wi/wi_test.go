package wi_test

import (
	"testing"

	"github.com/lanyard-io/lanyard/internal/wi"
)

func TestSubject(t *testing.T) {
	if got, want := (wi.Subject{Namespace: "shop", Name: "web"}).String(), "system:serviceaccount:shop:web"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	for subject, want := range map[string]wi.Subject{
		"system:serviceaccount:shop:web":     {Namespace: "shop", Name: "web"},
		"system:serviceaccount:shop:web.v2":  {Namespace: "shop", Name: "web.v2"},
		"system:serviceaccount:shop":         {},
		"system:serviceaccount":              {},
		"system:serviceaccounts:shop:web":    {},
		" system:serviceaccount:shop:web":    {},
		"System:ServiceAccount:shop:web":     {},
		"repo:octo/shop:ref:refs/heads/main": {},
		"":                                   {},
	} {
		got, ok := wi.ParseSubject(subject)
		if fits := want != (wi.Subject{}); ok != fits || fits && got != want {
			t.Errorf("ParseSubject(%q) = %+v, %v, want %+v, %v", subject, got, ok, want, fits)
		}
		if ok && got.String() != subject {
			t.Errorf("ParseSubject(%q) comes back as %q", subject, got)
		}
	}
}
