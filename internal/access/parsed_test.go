package access

import (
	"fmt"
	"testing"
)

func TestParsedClaimsStayBoundedAndRight(t *testing.T) {
	var p parsed
	for i := range 3 * maxParsed {
		want := fmt.Sprint("oid-", i)
		for range 2 { // parsed, then remembered
			c, err := p.claims(`{"oid":"` + want + `"}`)
			if err != nil || c.ObjectID != want {
				t.Fatalf("claims = %+v, %v, want oid %s", c, err, want)
			}
		}
	}
	if n := len(p.new) + len(p.old); n > 2*maxParsed {
		t.Errorf("%d payloads are remembered, want at most %d", n, 2*maxParsed)
	}
	if _, err := p.claims(`{"oid":`); err == nil {
		t.Error("broken JSON was accepted")
	}
	if _, ok := p.new[`{"oid":`]; ok {
		t.Error("broken JSON is remembered")
	}
}
