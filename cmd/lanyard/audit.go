package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
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
				return a.followAudit(cmd.Context(), c, f.query(time.Now()))
			}
			found, err := a.decisions(cmd.Context(), c, f.query(time.Now()))
			if err != nil {
				return err
			}
			if a.whole() {
				return a.print(found, table{})
			}
			for i := range found {
				auditLine(a.Out, &found[i])
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

// decisions asks for records, and says which servers did not answer.
func (a *app) decisions(ctx context.Context, c *client.Client, q audit.Query) ([]audit.Record, error) {
	path := "/providers/Lanyard.Trust/decisions"
	if q.ID != "" {
		path += "/" + url.PathEscape(q.ID)
	} else if v := q.Values(); len(v) > 0 {
		path += "?" + v.Encode()
	}
	var answer audit.Answer
	if err := c.ARM(ctx, "GET", path, lanyardVersion, nil, &answer); err != nil {
		return nil, err
	}
	for _, s := range answer.Servers {
		switch {
		case s.Error != "":
			a.say("the records of server %s are missing: %s", s.Name, s.Error)
		case s.Partial:
			a.say("server %s has more than it could look through: name a shorter time with --since", s.Name)
		}
	}
	if answer.Value == nil {
		answer.Value = []audit.Record{}
	}
	return answer.Value, nil
}

const (
	followEvery = 2 * time.Second
	// followBack is how far each question reaches behind the newest record, for
	// servers whose clocks differ and records that are written late.
	followBack = 10 * time.Second
)

// followAudit prints records as they come, until ctx ends.
func (a *app) followAudit(ctx context.Context, c *client.Client, q audit.Query) error {
	seen := map[string]time.Time{}
	for {
		found, err := a.decisions(ctx, c, q)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		for i := range found {
			r := &found[i]
			key := strings.Join([]string{r.Server, r.ID, r.Action, r.Resource, r.Time.String()}, " ")
			if _, ok := seen[key]; ok {
				continue
			}
			seen[key] = r.Time
			if err := a.auditFollowed(r); err != nil {
				return err
			}
			if from := r.Time.Add(-followBack); from.After(q.Since) {
				q.Since = from
			}
		}
		q.Limit = 1000
		for key, at := range seen {
			if at.Before(q.Since) {
				delete(seen, key)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

func (a *app) auditFollowed(r *audit.Record) error {
	switch a.output {
	case "json":
		return json.NewEncoder(a.Out).Encode(r)
	case "yaml":
		fmt.Fprintln(a.Out, "---")
		return a.print(r, table{})
	}
	auditLine(a.Out, r)
	return nil
}

// auditLine writes one record on one line, and its changes below it.
func auditLine(out io.Writer, r *audit.Record) {
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
	fields := []string{r.Time.UTC().Format(time.RFC3339), verdict, r.Action, r.Resource, code, "by " + auditWho(r), "id " + r.ID}
	kept := fields[:0]
	for _, f := range fields {
		if f != "" && f != "by " && f != "id " {
			kept = append(kept, f)
		}
	}
	fmt.Fprintln(out, strings.Join(kept, "  "))
	writeChanges(out, r.Changes)
}

// auditWho is the best name of who asked.
func auditWho(r *audit.Record) string {
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
