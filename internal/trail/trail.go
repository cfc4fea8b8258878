package trail

import (
	"context"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/audit"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// Config is a trail to read.
type Config struct {
	// Server is one of those of the store: it asks the others.
	Server *manage.Client
	// Query says which records; with a limit of its own it counts for the first look only.
	Query audit.Query
	// Every is the time between two looks of Follow; default two seconds.
	Every time.Duration
	// Warn is told of servers that gave not all of their records.
	Warn func(format string, args ...any)
}

const (
	defaultEvery = 2 * time.Second
	// back is how far each look reaches behind the newest record, for servers whose
	// clocks differ and records that are written late.
	back = 10 * time.Second
	// most is how many records a further look takes.
	most = 1000
)

// Read finds records, oldest first. It is never nil.
func Read(ctx context.Context, c Config) ([]audit.Record, error) {
	answer, err := c.Server.Decisions(ctx, c.Query)
	if err != nil {
		return nil, err
	}
	for _, s := range answer.Servers {
		switch {
		case s.Error != "":
			c.Warn("the records of server %s are missing: %s", s.Name, s.Error)
		case s.Partial:
			c.Warn("server %s has more than it could look through: name a shorter time with --since", s.Name)
		}
	}
	return answer.Value, nil
}

// Follow gives records to show as they come, each once, until ctx ends: that is no
// error.
func Follow(ctx context.Context, c Config, show func(*audit.Record) error) error {
	if c.Every == 0 {
		c.Every = defaultEvery
	}
	seen := map[string]time.Time{}
	for {
		found, err := Read(ctx, c)
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
			if err := show(r); err != nil {
				return err
			}
			if from := r.Time.Add(-back); from.After(c.Query.Since) {
				c.Query.Since = from
			}
		}
		c.Query.Limit = most
		for key, at := range seen {
			if at.Before(c.Query.Since) {
				delete(seen, key)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.Every):
		}
	}
}
