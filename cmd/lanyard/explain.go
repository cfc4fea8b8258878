package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/explain"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/table"
	"github.com/lanyard-io/lanyard/internal/trail"
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
			found, err := trail.Read(cmd.Context(), a.trail(c, q))
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return nothing
			}
			if a.whole() {
				return a.print(found, table.Table{})
			}
			for i := range found {
				explain.Decision(a.Out, &found[i])
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}
