package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/fault"
)

func newExplainCmd(a *app) *cobra.Command {
	var f auditFilter
	cmd := &cobra.Command{
		Use:   "explain [ID]",
		Short: "Say why a request was refused: what was presented, what is registered, what differs",
		Long: `Look up a decision by the id that the client saw: the "Correlation ID" or "Trace
ID" of an AADSTS error, or the x-ms-request-id of a vault's or the management
API's answer. Without an id, the newest refusal; the flags say of what. All servers of
the store are asked.`,
		Example: `  lanyard explain
  lanyard explain --vault kv-shop
  lanyard explain 6b8f8c3e-9a3a-4a52-9f5e-0c9a6c0f2a11`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := f.query(time.Now())
			q.Refused, q.Limit = true, 1
			nothing := fault.WithHint(errors.New("no refusal was recorded"), "lanyard audit lists what was granted")
			if len(args) == 1 {
				q = audit.Query{ID: args[0]}
				nothing = fault.WithHint(fault.Absent("no decision has the id %s", args[0]), "copy the Correlation ID from the error, or leave it out for the newest refusal")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			found, err := a.decisions(cmd.Context(), c, q)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return nothing
			}
			if a.whole() {
				return a.print(found, table{})
			}
			for i := range found {
				explain(a.Out, &found[i])
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// explain writes one decision for a person.
func explain(out io.Writer, r *audit.Record) {
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
		explainExchange(out, x)
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

func explainExchange(out io.Writer, x *audit.Exchange) {
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
