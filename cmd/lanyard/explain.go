package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/audit"
)

func newExplainCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Say why a request was refused: what was presented, what is registered, what differs",
		Long: `Look up a decision by the id that the client saw: the "Correlation ID" or "Trace
ID" of an AADSTS error, or the x-ms-request-id of a vault's or the management
API's answer.`,
		Example: `  lanyard explain 6b8f8c3e-9a3a-4a52-9f5e-0c9a6c0f2a11`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var found struct {
				Value []whole[audit.Record] `json:"value"`
			}
			path := "/providers/Lanyard.Trust/decisions/" + url.PathEscape(args[0])
			if err := c.ARM(cmd.Context(), "GET", path, lanyardVersion, nil, &found); err != nil {
				return err
			}
			if len(found.Value) == 0 {
				return withHint(fmt.Errorf("no decision has the id %s", args[0]),
					"copy the Correlation ID from the error; with several servers, ask the one that answered")
			}
			if a.output == "json" {
				return a.print(found.Value, table{})
			}
			for _, r := range found.Value {
				explain(a.Out, &r.is)
			}
			return nil
		},
	}
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
	if c := r.Caller; c != nil {
		line("caller", strings.TrimSpace(c.ObjectID+" "+c.IdentityID))
	}
	w.Flush()
	if x := r.Exchange; x != nil {
		explainExchange(out, x)
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
