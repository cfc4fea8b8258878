package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/explain"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/table"
	"github.com/lanyard-io/lanyard/internal/trail"
)

// auditFilter is the flags that say which records are wanted.
type auditFilter struct {
	q     audit.Query
	since time.Duration
}

func (f *auditFilter) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringSliceVar(&f.q.Identities, "identity", nil, "only of this identity, application or user: a `NAME`, client id or object id")
	fs.StringVar(&f.q.Vault, "vault", "", "only of this vault: its `NAME`")
	fs.StringVar(&f.q.Subject, "subject", "", "only with this `TEXT` in the token's subject, such as system:serviceaccount:shop:web")
	fs.DurationVar(&f.since, "since", 0, "only of so long ago and later, such as 10m (default: however old)")
}

// query is the filter as of now.
func (f *auditFilter) query(now time.Time) audit.Query {
	q := f.q
	if f.since > 0 {
		q.Since = now.Add(-f.since)
	}
	return q
}

func newAuditCmd(a *app) *cobra.Command {
	var f auditFilter
	var follow bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List what was decided, by all servers of the store, and follow it",
		Long: `List the newest records of the audit log, oldest first: who was let do what, who
was refused and why, what each write changed and how it ended. With several servers
on one etcd, all of them are asked; who could not be asked is said.`,
		Example: `  lanyard audit --refused --since 10m
  lanyard audit --vault kv-shop -f
  lanyard audit --identity shop --granted -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.since < 0 {
				return fault.WithHint(errors.New("--since must not be negative"), "--since 10m means ten minutes ago and later")
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			if follow {
				return trail.Follow(cmd.Context(), a.trail(c, f.query(time.Now())), a.auditFollowed)
			}
			found, err := trail.Read(cmd.Context(), a.trail(c, f.query(time.Now())))
			if err != nil {
				return err
			}
			if a.whole() {
				return a.print(found, table.Table{})
			}
			for i := range found {
				explain.Line(a.Out, &found[i])
			}
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.q.Refused, "refused", false, "only refusals")
	cmd.Flags().BoolVar(&f.q.Granted, "granted", false, "only what was granted")
	cmd.Flags().BoolVar(&f.q.All, "all", false, "also who read the audit log")
	cmd.Flags().IntVarP(&f.q.Limit, "limit", "n", 100, "the newest so many, at most 1000")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new ones until ctrl-c; with -o json one on each line")
	return cmd
}

func (a *app) trail(c *manage.Client, q audit.Query) trail.Config {
	return trail.Config{Server: c, Query: q, Warn: a.say}
}

// auditFollowed writes a record that has come.
func (a *app) auditFollowed(r *audit.Record) error {
	switch a.output {
	case "json":
		return json.NewEncoder(a.Out).Encode(r)
	case "yaml":
		fmt.Fprintln(a.Out, "---")
		return a.print(r, table.Table{})
	}
	explain.Line(a.Out, r)
	return nil
}
