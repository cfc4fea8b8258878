package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/password"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// person is a user as the directory shows it.
type person struct {
	ID      string    `json:"id"`
	UPN     string    `json:"userPrincipalName"`
	Name    string    `json:"displayName"`
	Enabled bool      `json:"accountEnabled"`
	Created time.Time `json:"createdDateTime"`
	Locked  string    `json:"lockedUntil,omitempty"`
	// Password is one that was generated: it is shown once.
	Password string `json:"password,omitempty"`
}

func userTable(all ...person) table {
	t := table{head: []string{"USER", "NAME", "OBJECT ID", "STATE"}}
	for _, u := range all {
		state := "enabled"
		switch {
		case !u.Enabled:
			state = "disabled"
		case u.Locked != "":
			state = "locked until " + u.Locked
		}
		row := []string{u.UPN, u.Name, u.ID, state}
		if u.Password != "" {
			t.head, row = append(t.head, "PASSWORD"), append(row, u.Password)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func newUserCmd(a *app) *cobra.Command {
	return noun("user", "Users: people who sign in with a password, on a page or with az login", []string{"users"},
		newUserCreateCmd(a), newUserListCmd(a), newUserShowCmd(a), newUserDeleteCmd(a), newUserSetPasswordCmd(a), newUserUnlockCmd(a))
}

// passwordFlags say where a user's password comes from. It is never an argument:
// those are in the list of processes and in the shell's history.
type passwordFlags struct {
	stdin, change bool
}

func (p *passwordFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&p.stdin, "password-stdin", false, "read the password from standard input; without it one is generated and shown once")
	f.BoolVar(&p.change, "must-change", false, "ask for a new password at the first sign-in")
}

// profile is the password for the directory, and the generated one to show.
func (a *app) profile(p passwordFlags) (profile map[string]any, generated string, err error) {
	word := password.Generate()
	generated = word
	if p.stdin {
		if word, err = a.readPassword(); err != nil {
			return nil, "", err
		}
		generated = ""
	}
	return map[string]any{"password": word, "forceChangePasswordNextSignIn": p.change}, generated, nil
}

// readPassword reads the first line of standard input; at a terminal it asks, twice.
func (a *app) readPassword() (string, error) {
	if isTerminal(a.In) {
		return a.askPassword()
	}
	b, err := io.ReadAll(io.LimitReader(a.In, 2*password.MaxBytes))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	word, _, _ := strings.Cut(string(b), "\n")
	if word = strings.TrimSuffix(word, "\r"); word == "" {
		return "", fault.WithHint(errors.New("the password is empty"), `printf %s "$PASSWORD" | lanyard user create NAME --password-stdin`)
	}
	return word, nil
}

func (a *app) askPassword() (string, error) {
	var words [2]string
	for i, prompt := range []string{"password: ", "password, again: "} {
		fmt.Fprint(a.Err, prompt)
		b, err := term.ReadPassword(int(a.In.(*os.File).Fd()))
		fmt.Fprintln(a.Err)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		words[i] = string(b)
	}
	if words[0] != words[1] {
		return "", errors.New("the two passwords differ")
	}
	return words[0], nil
}

// fullName is a user's name with the server's domain, unless it has one or is an id.
func fullName(c *client.Client, name string) string {
	if strings.Contains(name, "@") || model.ValidUUID(name) {
		return name
	}
	return name + "@" + c.Domain()
}

func userPath(c *client.Client, name string) string {
	return "/users/" + url.PathEscape(fullName(c, name))
}

func showUser(ctx context.Context, c *client.Client, name string) (u whole[person], err error) {
	err = c.Graph(ctx, "GET", userPath(c, name), nil, &u)
	if client.IsNotFound(err) {
		err = fault.WithHint(fault.Absent("no such user %q", fullName(c, name)), "lanyard user list")
	}
	return u, err
}

func newUserCreateCmd(a *app) *cobra.Command {
	var p passwordFlags
	var display string
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a user; NAME without a domain gets the server's",
		Example: `  lanyard user create alice
  lanyard user create alice@example.org --display-name "Alice Adams" --must-change
  printf %s "$PASSWORD" | lanyard user create alice --password-stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			upn := fullName(c, args[0])
			if !model.ValidUPN(upn) {
				return fault.WithHint(fmt.Errorf("%q cannot be a user's name", upn), "a name is NAME or NAME@DOMAIN, of letters, digits and .-_'")
			}
			profile, generated, err := a.profile(p)
			if err != nil {
				return err
			}
			local, _, _ := strings.Cut(upn, "@")
			if display == "" {
				display = local
			}
			body := map[string]any{
				"accountEnabled": true, "displayName": display, "mailNickname": local, "userPrincipalName": upn, "passwordProfile": profile,
			}
			var made whole[person]
			if err := c.Graph(cmd.Context(), "POST", "/users", body, &made); err != nil {
				if _, there := showUser(cmd.Context(), c, args[0]); there == nil && !client.IsBadRequest(err) {
					return differs("user", upn, "a password of its own", "to change that: lanyard user set-password "+shell.Quote(args[0]))
				}
				return err
			}
			return a.printGenerated(made, generated)
		},
	}
	p.add(create)
	create.Flags().StringVar(&display, "display-name", "", "how the user is called (default the name)")
	return create
}

// printGenerated shows a user with the password that was made for them, once.
func (a *app) printGenerated(u whole[person], generated string) error {
	u.is.Password = generated
	if generated == "" {
		return a.print(u, userTable(u.is))
	}
	shown := map[string]json.RawMessage{}
	if err := json.Unmarshal(u.all, &shown); err != nil {
		return err
	}
	var err error
	if shown["password"], err = json.Marshal(generated); err != nil {
		return err
	}
	return a.print(shown, userTable(u.is))
}

func newUserListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List all users", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			all := []whole[person]{}
			err = c.GraphList(cmd.Context(), "/users", func(raw json.RawMessage) error {
				var one whole[person]
				err := json.Unmarshal(raw, &one)
				all = append(all, one)
				return err
			})
			if err != nil {
				return err
			}
			return a.print(all, userTable(parts(all)...))
		},
	}
}

func newUserShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a user, and whether the user is locked", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			u, err := showUser(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.print(u, userTable(u.is))
		},
	}
}

func newUserDeleteCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a user, with the roles and all sign-ins", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.changeUser(cmd, args[0], "DELETE", "", nil) },
	}
}

func newUserUnlockCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "unlock NAME", Short: "End a lock that failed sign-ins brought; it ends by itself within an hour", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeUser(cmd, args[0], "POST", "/unlock", nil)
		},
	}
}

func newUserSetPasswordCmd(a *app) *cobra.Command {
	var p passwordFlags
	set := &cobra.Command{
		Use: "set-password NAME", Short: "Give a user a new password, and end all sign-ins",
		Example: `  lanyard user set-password alice --must-change
  printf %s "$PASSWORD" | lanyard user set-password alice --password-stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			profile, generated, err := a.profile(p)
			if err != nil {
				return err
			}
			if err := a.changeUser(cmd, args[0], "PATCH", "", map[string]any{"passwordProfile": profile}); err != nil || generated == "" {
				return err
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			u, err := showUser(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return a.printGenerated(u, generated)
		},
	}
	p.add(set)
	return set
}

func (a *app) changeUser(cmd *cobra.Command, name, method, action string, body any) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	err = c.Graph(cmd.Context(), method, userPath(c, name)+action, body, nil)
	if client.IsNotFound(err) {
		return fault.WithHint(fault.Absent("no such user %q", fullName(c, name)), "lanyard user list")
	}
	return err
}
