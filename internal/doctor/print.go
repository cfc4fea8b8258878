package doctor

import (
	"fmt"
	"io"
	"strings"
)

// colours of a terminal; https://www.man7.org/linux/man-pages/man4/console_codes.4.html
var colours = map[Status]string{OK: "32", Warning: "33", Problem: "31", Skipped: "2"}

// Print writes a line for each link, and one more for its fix.
func (r *Report) Print(out io.Writer, colour bool) {
	wide := 0
	for _, l := range r.Links {
		wide = max(wide, len(l.Name))
	}
	for _, l := range r.Links {
		status := fmt.Sprintf("%-7s", l.Status)
		if colour {
			status = "\x1b[" + colours[l.Status] + "m" + status + "\x1b[0m"
		}
		fmt.Fprintf(out, "%s  %-*s  %s\n", status, wide, l.Name, OneLine(l.Detail))
		if l.Fix != "" {
			fmt.Fprintf(out, "%*s  fix: %s\n", wide+9, "", OneLine(l.Fix))
		}
	}
}

// FirstBroken is the first link that does not hold.
func (r *Report) FirstBroken() (l Link, ok bool) {
	for _, l := range r.Links {
		if !r.Healthy && l.Name == r.Broken {
			return l, true
		}
	}
	return Link{}, false
}

// OneLine takes from the words of others what would move a terminal's cursor.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == ' ' }), " ")
}
