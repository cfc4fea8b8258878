package explain

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
)

// Line writes one record on one line, and its changes below it.
func Line(out io.Writer, r *audit.Record) {
	verdict := "granted"
	switch {
	case r.More > 0:
		verdict = fmt.Sprintf("refused %d more", r.More)
	case !r.Granted:
		verdict = "refused"
	case r.Outcome != nil && r.Outcome.Status >= 300:
		verdict = fmt.Sprintf("failed %d", r.Outcome.Status)
	case r.Outcome != nil && r.Outcome.Code == audit.Pending:
		verdict = "pending"
	}
	code := r.Code
	if r.Outcome != nil && r.Outcome.Code != audit.Pending {
		code = r.Outcome.Code
	}
	fields := []string{r.Time.UTC().Format(time.RFC3339), verdict, r.Action, r.Resource, code, "by " + who(r), "id " + r.ID}
	kept := fields[:0]
	for _, f := range fields {
		if f != "" && f != "by " && f != "id " {
			kept = append(kept, f)
		}
	}
	fmt.Fprintln(out, strings.Join(kept, "  "))
	writeChanges(out, r.Changes)
}

// who is the best name of who asked.
func who(r *audit.Record) string {
	if c := r.Caller; c != nil {
		name := c.IdentityID[strings.LastIndexByte(c.IdentityID, '/')+1:]
		for _, s := range []string{name, c.Name, c.AppID, c.ObjectID} {
			if s != "" {
				return s
			}
		}
	}
	if r.Exchange != nil && r.Exchange.Subject != "" {
		return r.Exchange.Subject
	}
	return r.Remote
}

// Decision writes one decision for a person.
func Decision(out io.Writer, r *audit.Record) {
	verdict := "refused"
	if r.Granted {
		verdict = "granted"
	}
	fmt.Fprintf(out, "%s  %s  %s %s\n", r.Time.UTC().Format(time.RFC3339), verdict, r.Action, r.Code)
	if r.Reason != "" {
		fmt.Fprintf(out, "  %s\n", r.Reason)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %s\t%s\n", label, value)
		}
	}
	line("resource", r.Resource)
	line("from", r.Remote)
	line("server", r.Server)
	if c := r.Caller; c != nil {
		line("caller", strings.TrimSpace(c.ObjectID+" "+c.IdentityID))
	}
	if o := r.Outcome; o != nil {
		line("outcome", strings.TrimSpace(fmt.Sprintf("%d %s", o.Status, o.Code)))
	}
	w.Flush()
	writeChanges(out, r.Changes)
	if x := r.Exchange; x != nil {
		exchange(out, x)
	}
}

// writeChanges writes what a write did, a line for each field.
func writeChanges(out io.Writer, changes []audit.Change) {
	for _, c := range changes {
		fmt.Fprintf(out, "    %s %s\n", c.Kind, c.Object)
		both := maps.Clone(c.Before)
		if both == nil {
			both = map[string]string{}
		}
		maps.Copy(both, c.After)
		for _, k := range slices.Sorted(maps.Keys(both)) {
			before, after := c.Before[k], c.After[k]
			switch {
			case before == after:
			case c.Before == nil:
				fmt.Fprintf(out, "      %s: %s\n", k, after)
			case c.After == nil:
				fmt.Fprintf(out, "      %s: was %s\n", k, before)
			default:
				fmt.Fprintf(out, "      %s: %s -> %s\n", k, cmp.Or(before, "none"), cmp.Or(after, "none"))
			}
		}
	}
}

func exchange(out io.Writer, x *audit.Exchange) {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	presented := [][2]string{
		{"issuer", x.Issuer}, {"subject", x.Subject}, {"audience", strings.Join(x.Audiences, " ")},
		{"key", strings.TrimSpace(x.KeyID + " " + x.Algorithm)},
		{"time", strings.Trim(x.NotBefore+" to "+x.Expires, " to")},
	}
	head := "  \tpresented\t\n"
	for _, p := range presented {
		if p[1] == "" {
			continue
		}
		fmt.Fprint(w, head)
		head = ""
		mark := ""
		if slices.Contains(x.Differed, p[0]) {
			mark = "<- differs"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", p[0], p[1], mark)
	}
	for _, g := range x.Registered {
		fmt.Fprintf(w, "  registered %s\t\t\n", g.Name)
		fmt.Fprintf(w, "    issuer\t%s\t\n", g.Issuer)
		if g.Expression != "" {
			fmt.Fprintf(w, "    matching\t%s\t\n", g.Expression)
		} else {
			fmt.Fprintf(w, "    subject\t%s\t\n", g.Subject)
		}
		fmt.Fprintf(w, "    audience\t%s\t\n", g.Audience)
	}
	w.Flush()
	if x.Hint != "" {
		fmt.Fprintf(out, "  hint: %s\n", x.Hint)
	}
}
