package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/client"
)

// completeTimeout is how long a shell waits for names.
const completeTimeout = 2 * time.Second

// source finds the names that may stand in one place of a command line.
type source func(*completion) ([]string, error)

// completion is a command line whose next word is asked for.
type completion struct {
	ctx  context.Context
	c    *client.Client
	cmd  *cobra.Command
	args []string
}

// names are the words of Use, and the flags, that the server knows names for.
func (a *app) names(noun, word string) source {
	switch word {
	case "VAULT", "vault":
		return resourceNames(vaultKind())
	case "identity":
		return resourceNames(identityKind())
	case "cluster":
		return resourceNames(clusterKind())
	case "APPID", "app":
		return appIDs
	case "user":
		return userNames
	case "resource-group":
		return groupNames
	case "ROLE":
		return roleNames
	case "NAME":
		switch noun {
		case "group":
			return groupNames
		case "user", "vault", "identity", "cluster":
			return a.names("", noun)
		case "credential":
			return credentialNames
		case "binding":
			return bindingNames
		case "secret":
			return secretNames
		}
	}
	return nil
}

// completeNames has shells complete names, by words and flags, for every command.
func (a *app) completeNames(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		a.completeNames(sub)
	}
	for _, flag := range []string{"vault", "identity", "cluster", "app", "user", "resource-group"} {
		if f := cmd.Flag(flag); f != nil && f.Value.Type() == "string" {
			_ = cmd.RegisterFlagCompletionFunc(flag, a.complete(a.names("", flag))) // a flag of all verbs has it already
		}
	}
	words := strings.Fields(cmd.Use)[1:]
	if !cmd.HasParent() || cmd.Name() == "create" || cmd.ValidArgsFunction != nil {
		return
	}
	var sources []source
	for _, word := range words {
		s := a.names(cmd.Parent().Name(), word)
		if s != nil && word == "NAME" && (cmd.Name() == "recover" || cmd.Name() == "purge") {
			s = deletedNames(cmd.Parent().Name())
		}
		sources = append(sources, s)
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(sources) || sources[len(args)] == nil {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return a.complete(sources[len(args)])(cmd, args, begun)
	}
}

// complete asks the server, shortly and in silence: without one there are no names.
func (a *app) complete(list source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmp.Or(cmd.Context(), context.Background()), completeTimeout)
		defer cancel()
		a.Err = io.Discard
		if a.fillFlags(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		all, err := list(&completion{ctx, c, cmd, args})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var fit []cobra.Completion
		for _, name := range all {
			if strings.HasPrefix(name, begun) {
				fit = append(fit, name)
			}
		}
		slices.Sort(fit)
		return fit, cobra.ShellCompDirectiveNoFileComp
	}
}

// flag is a flag's value, or nothing when the command has no such flag.
func (p *completion) flag(name string) string {
	if f := p.cmd.Flag(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// listed are the names in a collection of the management API.
func (p *completion) listed(path, version string) ([]string, error) {
	all, err := listAll[struct{ Name string }](p.ctx, p.c, path, version)
	var names []string
	for _, e := range all {
		names = append(names, e.Name)
	}
	return names, err
}

func resourceNames(k kind) source {
	return func(p *completion) ([]string, error) {
		base := "/subscriptions/" + p.c.Subscription
		if group := p.flag("resource-group"); group != "" {
			base = target{group: group}.groupID(p.c)
		}
		return p.listed(base+"/providers/"+k.typ, k.version)
	}
}

func groupNames(p *completion) ([]string, error) {
	return p.listed("/subscriptions/"+p.c.Subscription+"/resourceGroups", groupsVersion)
}

func appIDs(p *completion) (ids []string, err error) {
	err = p.c.GraphList(p.ctx, "/applications", func(raw json.RawMessage) error {
		var one application
		err := json.Unmarshal(raw, &one)
		ids = append(ids, cobra.CompletionWithDesc(one.AppID, one.DisplayName))
		return err
	})
	return ids, err
}

func userNames(p *completion) (names []string, err error) {
	err = p.c.GraphList(p.ctx, "/users", func(raw json.RawMessage) error {
		var one person
		err := json.Unmarshal(raw, &one)
		names = append(names, strings.TrimSuffix(one.UPN, "@"+p.c.Domain()))
		return err
	})
	return names, err
}

func roleNames(*completion) (names []string, err error) {
	for _, r := range access.Roles() {
		names = append(names, r.Name)
	}
	return names, nil
}

func credentialNames(p *completion) (names []string, err error) {
	o := credentialOwner{target: target{group: p.flag("resource-group")}, identity: p.flag("identity"), app: p.flag("app")}
	if err := o.check(); err != nil {
		return nil, err
	}
	all, err := o.list(p.ctx, p.c)
	for _, one := range parts(all) {
		names = append(names, one.Name)
	}
	return names, err
}

func bindingNames(p *completion) ([]string, error) {
	o := bindingOwner{target: target{group: p.flag("resource-group")}, cluster: p.flag("cluster")}
	return p.listed(o.path(p.c), clusterVersion)
}

// deletedNames are what recover and purge take.
func deletedNames(noun string) source {
	return func(p *completion) (names []string, err error) {
		if noun == "secret" {
			return secretsOf(p, true)
		}
		all, err := deletedVaults(p.ctx, p.c)
		for _, v := range parts(all) {
			names = append(names, v.Name)
		}
		return names, err
	}
}

func secretNames(p *completion) ([]string, error) { return secretsOf(p, false) }

// secretsOf are the names on the first page of a vault's secrets, which is many.
func secretsOf(p *completion, deleted bool) (names []string, err error) {
	vault, err := secretsClient(p.c, p.args[0])
	if err != nil {
		return nil, err
	}
	if deleted {
		page, err := vault.NewListDeletedSecretPropertiesPager(nil).NextPage(p.ctx)
		for _, s := range page.Value {
			names = append(names, s.ID.Name())
		}
		return names, err
	}
	page, err := vault.NewListSecretPropertiesPager(nil).NextPage(p.ctx)
	for _, s := range page.Value {
		names = append(names, s.ID.Name())
	}
	return names, err
}
