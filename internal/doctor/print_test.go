package doctor_test

import (
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/doctor"
)

// What clusters and servers say moves no cursor.
func TestPrint(t *testing.T) {
	r := doctor.Report{Links: []doctor.Link{
		{Name: "pod", Status: doctor.OK, Detail: "it is\nthere"},
		{Name: "webhook", Status: doctor.Problem, Detail: "none\x1b[2J", Fix: "install\tone"},
		{Name: "vault", Status: doctor.Problem, Detail: "none"},
	}}
	if _, ok := r.FirstBroken(); ok {
		t.Error("a link is broken before the end")
	}
	r.Finish()
	if l, ok := r.FirstBroken(); !ok || l.Name != "webhook" {
		t.Errorf("the first broken link is %+v", l)
	}
	fix := strings.Repeat(" ", 18) + "fix: install one\n"
	for colour, want := range map[bool]string{
		false: "ok       pod      it is there\nproblem  webhook  none [2J\n" + fix + "problem  vault    none\n",
		true: "\x1b[32mok     \x1b[0m  pod      it is there\n\x1b[31mproblem\x1b[0m  webhook  none [2J\n" + fix +
			"\x1b[31mproblem\x1b[0m  vault    none\n",
	} {
		var out strings.Builder
		if r.Print(&out, colour); out.String() != want {
			t.Errorf("colour %t: %q, want %q", colour, out.String(), want)
		}
	}
}
