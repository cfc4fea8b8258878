package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/table"
)

// words are how a command is called, and its help.
type words struct{ use, short, example string }

// verb is a command that asks the server. Its arguments are the words of its use;
// checks are for before the server is asked.
func (a *app) verb(w words, do func(*cobra.Command, *manage.Client, []string) error, checks ...func(args []string) error) *cobra.Command {
	args := cobra.NoArgs
	if n := len(strings.Fields(w.use)) - 1; n > 0 {
		args = cobra.ExactArgs(n)
	}
	run := func(cmd *cobra.Command, args []string) error {
		for _, check := range checks {
			if err := check(args); err != nil {
				return err
			}
		}
		c, err := a.connect()
		if err != nil {
			return err
		}
		return do(cmd, c, args)
	}
	return &cobra.Command{Use: w.use, Short: w.short, Example: w.example, Args: args, RunE: run}
}

// things are a noun's: how they are shown, and where they are.
type things[T any] struct {
	noun  string
	head  []string
	cells func(T) []string
	key   int // the column that names one to other commands
	// in is where they are; group is the one that is meant, if the noun has any.
	in     func(c *manage.Client, group string) manage.Collection[T]
	checks []func(args []string) error
}

func (n *things[T]) table(all ...T) table.Table {
	t := table.Table{Head: n.head, Key: n.key}
	for _, one := range all {
		t.Rows = append(t.Rows, n.cells(one))
	}
	return t
}

// print shows one.
func (n *things[T]) print(a *app, got manage.Whole[T]) error { return a.print(got, n.table(got.Is)) }

// list shows all there are, or those of the group that was named.
func (n *things[T]) list(a *app, cmd *cobra.Command, c *manage.Client) error {
	all, err := n.in(c, namedGroup(cmd)).List(cmd.Context())
	if err != nil {
		return err
	}
	return a.print(all, n.table(manage.Parts(all)...))
}

// created shows what a create has made or found. When it was found, differ says what
// was asked for and is otherwise, if anything is.
func (n *things[T]) created(a *app, name string, got manage.Whole[T], made bool, differ func(T) error) error {
	if !made {
		if err := differ(got.Is); err != nil {
			return err
		}
		a.stays(n.noun, name)
	}
	return n.print(a, got)
}

func showVerb[T any](a *app, n *things[T], w words) *cobra.Command {
	return a.verb(w, func(cmd *cobra.Command, c *manage.Client, args []string) error {
		got, err := n.in(c, groupOf(cmd)).Get(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return n.print(a, got)
	}, n.checks...)
}

func listVerb[T any](a *app, n *things[T], w words) *cobra.Command {
	return a.verb(w, func(cmd *cobra.Command, c *manage.Client, _ []string) error { return n.list(a, cmd, c) }, n.checks...)
}

func deleteVerb[T any](a *app, n *things[T], w words) *cobra.Command {
	return a.verb(w, func(cmd *cobra.Command, c *manage.Client, args []string) error {
		return n.in(c, groupOf(cmd)).Delete(cmd.Context(), args[0])
	}, n.checks...)
}

// groupOf is the value of -g, or nothing when the command has no such flag.
func groupOf(cmd *cobra.Command) string {
	if f := cmd.Flag("resource-group"); f != nil {
		return f.Value.String()
	}
	return ""
}

// namedGroup is the group that -g was given; "" stands for all of them.
func namedGroup(cmd *cobra.Command) string {
	if f := cmd.Flag("resource-group"); f != nil && f.Changed {
		return f.Value.String()
	}
	return ""
}

// otherLocation is the error of a create when what is there has another location than
// the one that was given.
func otherLocation(cmd *cobra.Command, noun, name, have string) error {
	if f := cmd.Flag("location"); !f.Changed || strings.EqualFold(f.Value.String(), have) {
		return nil
	}
	return differs(noun, name, "the location "+have, "a location cannot be changed: leave --location out, or choose another name")
}

// stays says that a create has changed nothing.
func (a *app) stays(noun, name string) {
	a.say("the %s %s exists already; it stays as it is", noun, name)
}

// differs is the error of a create that asks for something other than what is there.
func differs(noun, name, how, hint string) error {
	return fault.WithHint(fmt.Errorf("the %s %s exists already, with %s; nothing was changed", noun, name, how), hint)
}
