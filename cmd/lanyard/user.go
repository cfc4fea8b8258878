package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/prompt"
	"github.com/lanyard-io/lanyard/internal/shell"
)

func users() *things[manage.User] {
	return &things[manage.User]{
		noun: "user", in: func(c *manage.Client, _ string) manage.Collection[manage.User] { return c.Users() },
		head: []string{"USER", "NAME", "OBJECT ID", "STATE"},
		cells: func(u manage.User) []string {
			state := "enabled"
			switch {
			case !u.Enabled:
				state = "disabled"
			case u.Locked != "":
				state = "locked until " + u.Locked
			}
			return []string{u.UPN, u.Name, u.ID, state}
		},
	}
}

func newUserCmd(a *app) *cobra.Command {
	all := users()
	unlock := a.verb(words{"unlock NAME", "End a lock that failed sign-ins brought; it ends by itself within an hour", ""},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			return c.UnlockUser(cmd.Context(), args[0])
		})
	return noun("user", "Users: people who sign in with a password, on a page or with az login", []string{"users"}, newUserCreateCmd(a, all),
		listVerb(a, all, words{"list", "List all users", ""}),
		showVerb(a, all, words{"show NAME", "Show a user, and whether the user is locked", ""}),
		deleteVerb(a, all, words{"delete NAME", "Delete a user, with the roles and all sign-ins", ""}),
		newUserSetPasswordCmd(a, all), unlock)
}

// passwordFlags say where a user's password comes from.
type passwordFlags struct {
	stdin, change bool
}

func (p *passwordFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&p.stdin, "password-stdin", false, "read the password from standard input; without it one is generated and shown once")
	f.BoolVar(&p.change, "must-change", false, "ask for a new password at the first sign-in")
}

// password is the one to set, and the generated one to show.
func (p *passwordFlags) password(a *app) (set manage.Password, generated string, err error) {
	set.MustChange = p.change
	if p.stdin {
		set.Word, err = prompt.Prompt{In: a.In, Out: a.Err}.Password()
		return set, "", err
	}
	set.Word = password.Generate()
	return set, set.Word, nil
}

func newUserCreateCmd(a *app, all *things[manage.User]) *cobra.Command {
	var p passwordFlags
	var display string
	create := a.verb(words{"create NAME", "Make a user; NAME without a domain gets the server's", `  lanyard user create alice
  lanyard user create alice@example.org --display-name "Alice Adams" --must-change
  printf %s "$PASSWORD" | lanyard user create alice --password-stdin`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			upn := c.FullName(args[0])
			if !model.ValidUPN(upn) {
				return fault.WithHint(fmt.Errorf("%q cannot be a user's name", upn), "a name is NAME or NAME@DOMAIN, of letters, digits and .-_'")
			}
			set, generated, err := p.password(a)
			if err != nil {
				return err
			}
			made, err := c.CreateUser(cmd.Context(), upn, display, set)
			if err != nil {
				if _, there := c.Users().Get(cmd.Context(), upn); there == nil && !client.IsBadRequest(err) {
					return differs("user", upn, "a password of its own", "to change that: lanyard user set-password "+shell.Quote(args[0]))
				}
				return err
			}
			return printGenerated(a, all, made, generated)
		})
	p.add(create)
	create.Flags().StringVar(&display, "display-name", "", "how the user is called (default the name)")
	return create
}

func newUserSetPasswordCmd(a *app, all *things[manage.User]) *cobra.Command {
	var p passwordFlags
	var word manage.Password
	var generated string
	set := a.verb(words{"set-password NAME", "Give a user a new password, and end all sign-ins", `  lanyard user set-password alice --must-change
  printf %s "$PASSWORD" | lanyard user set-password alice --password-stdin`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			if err := c.SetPassword(cmd.Context(), args[0], word); err != nil || generated == "" {
				return err
			}
			u, err := c.Users().Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printGenerated(a, all, u, generated)
		}, func([]string) (err error) { word, generated, err = p.password(a); return err })
	p.add(set)
	return set
}

// printGenerated shows a user with the password that was made for them, once.
func printGenerated(a *app, all *things[manage.User], u manage.Whole[manage.User], generated string) error {
	if generated == "" {
		return all.print(a, u)
	}
	shown := map[string]json.RawMessage{}
	if err := json.Unmarshal(u.All, &shown); err != nil {
		return err
	}
	var err error
	if shown["password"], err = json.Marshal(generated); err != nil {
		return err
	}
	t := all.table(u.Is)
	t.Head, t.Rows[0] = append(t.Head, "PASSWORD"), append(t.Rows[0], generated)
	return a.print(shown, t)
}
