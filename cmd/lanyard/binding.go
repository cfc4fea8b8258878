package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// bindingOwner is the cluster whose bindings are meant.
type bindingOwner struct {
	target
	cluster string
}

func (o *bindingOwner) bindings() *things[manage.Binding] {
	return &things[manage.Binding]{
		noun: "identity binding", in: func(c *manage.Client, _ string) manage.Collection[manage.Binding] {
			return c.Bindings(o.group, o.cluster)
		},
		head: []string{"NAME", "IDENTITY", "CLIENT ID", "TOKEN PROXY"},
		cells: func(b manage.Binding) []string {
			return []string{b.Name, b.Identity(), b.Properties.Identity.ClientID, b.Properties.Proxy.URL}
		},
	}
}

func newBindingCmd(a *app) *cobra.Command {
	var o bindingOwner
	all := o.bindings()
	cmd := noun("binding", "Identity bindings: which identities a cluster may give to its service accounts", []string{"bindings"})
	addTarget(cmd.PersistentFlags(), &o.target)
	cmd.PersistentFlags().StringVar(&o.cluster, "cluster", "", "`name` of the attached cluster")
	cmd.AddCommand(newBindingCreateCmd(a, &o, all),
		showVerb(a, all, words{"show NAME", "Show an identity binding, and where the cluster's pods ask", `  lanyard binding show workload --cluster akscluster -g lab`}),
		listVerb(a, all, words{"list", "List a cluster's identity bindings", `  lanyard binding list --cluster akscluster -g lab`}),
		deleteVerb(a, all, words{"delete NAME", "Delete an identity binding: the cluster gives that identity to nobody any more", `  lanyard binding delete workload --cluster akscluster -g lab`}))
	for _, verb := range cmd.Commands() {
		verb.PreRunE = func(cmd *cobra.Command, _ []string) error {
			if o.cluster == "" {
				return fault.WithHint(fmt.Errorf("whose bindings? --cluster is missing"), "lanyard cluster list")
			}
			return nil
		}
	}
	return cmd
}

func newBindingCreateCmd(a *app, o *bindingOwner, all *things[manage.Binding]) *cobra.Command {
	var name string
	create := a.verb(words{"create NAME", "Let a cluster decide which of its service accounts may be an identity", `  lanyard binding create workload --cluster akscluster --identity workload -g lab
  lanyard binding create shared --cluster akscluster -g lab \
      --identity /subscriptions/SUB/resourceGroups/other/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shared`},
		func(cmd *cobra.Command, c *manage.Client, args []string) error {
			if _, err := c.Clusters(o.group).Get(cmd.Context(), o.cluster); err != nil {
				return err
			}
			id := name
			if !strings.HasPrefix(name, "/") {
				i, err := c.Identities(o.group).Get(cmd.Context(), name)
				if err != nil {
					return err
				}
				id = i.Is.ID
			}
			got, made, err := c.Bindings(o.group, o.cluster).Create(cmd.Context(), args[0], manage.NewBinding(id))
			if err != nil {
				return err
			}
			return all.created(a, args[0], got, made, func(b manage.Binding) error {
				if strings.EqualFold(b.Properties.Identity.ID, id) {
					return nil
				}
				return differs("identity binding", args[0], "the identity "+b.Identity(), "its identity cannot be changed: delete it, or choose another name")
			})
		})
	create.Long = `Bind an identity to a cluster. From then on the cluster's own roles say which service
account may be that identity: whoever may use-managed-identity on its client id, in the
API group cid.wi.aks.azure.com.`
	create.Flags().StringVarP(&name, "identity", "i", "", "`name` of an identity in the same group, or the resource id of any")
	_ = create.MarkFlagRequired("identity") // it fails only for a flag that is not there
	return create
}
