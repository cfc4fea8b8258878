package main

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/manage"
)

// completeTimeout is how long a shell waits for names.
const completeTimeout = 2 * time.Second

// source finds the names that may stand in one place of a command line.
type source func(*completion) ([]string, error)

// completion is a command line whose next word is asked for.
type completion struct {
	ctx  context.Context
	c    *manage.Client
	cmd  *cobra.Command
	args []string
}

// names are the words of Use, and the flags, that the server knows names for.
func (a *app) names(noun, word string) source {
	switch word {
	case "VAULT", "vault":
		return namesIn(vaults(), func(v manage.Vault) string { return v.Name })
	case "identity":
		return namesIn(identities(), func(i manage.Identity) string { return i.Name })
	case "cluster":
		return namesIn(clusters(), func(k manage.Cluster) string { return k.Name })
	case "APPID", "app":
		return namesIn(applications(), func(a manage.Application) string { return cobra.CompletionWithDesc(a.AppID, a.DisplayName) })
	case "user":
		return userNames
	case "resource-group":
		return namesIn(groups(), func(g manage.Group) string { return g.Name })
	case "ROLE":
		return func(*completion) ([]string, error) { return roleNames(), nil }
	case "NAME":
		switch noun {
		case "group":
			return namesIn(groups(), func(g manage.Group) string { return g.Name })
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

// namesIn are the names of a noun's things; of those in a group, if a flag says which.
func namesIn[T any](n *things[T], name func(T) string) source {
	return func(p *completion) ([]string, error) {
		for _, check := range n.checks {
			if err := check(nil); err != nil {
				return nil, err
			}
		}
		all, err := n.in(p.c, groupOf(p.cmd)).List(p.ctx)
		var names []string
		for _, one := range all {
			names = append(names, name(one.Is))
		}
		return names, err
	}
}

func userNames(p *completion) ([]string, error) {
	return namesIn(users(), func(u manage.User) string { return strings.TrimSuffix(u.UPN, "@"+p.c.Domain()) })(p)
}

func credentialNames(p *completion) ([]string, error) {
	o := credentialOwner{target: target{group: groupOf(p.cmd)}, identity: p.flag("identity"), app: p.flag("app")}
	return namesIn(o.credentials(), func(c manage.Credential) string { return c.Name })(p)
}

func bindingNames(p *completion) ([]string, error) {
	o := bindingOwner{target: target{group: groupOf(p.cmd)}, cluster: p.flag("cluster")}
	return namesIn(o.bindings(), func(b manage.Binding) string { return b.Name })(p)
}

// deletedNames are what recover and purge take.
func deletedNames(noun string) source {
	return func(p *completion) (names []string, err error) {
		if noun == "secret" {
			return secretsOf(p, manage.SecretVault.Deleted)
		}
		all, err := p.c.DeletedVaults(p.ctx, "")
		for _, v := range all {
			names = append(names, v.Is.Name)
		}
		return names, err
	}
}

func secretNames(p *completion) ([]string, error) { return secretsOf(p, manage.SecretVault.List) }

func secretsOf(p *completion, list func(manage.SecretVault, context.Context) ([]manage.Secret, error)) (names []string, err error) {
	vault, err := p.c.SecretVault(p.args[0])
	if err != nil {
		return nil, err
	}
	all, err := list(vault, p.ctx)
	for _, s := range all {
		names = append(names, s.Name)
	}
	if len(names) > 0 {
		err = nil // those that came in time
	}
	return names, err
}
