package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/shell"
)

// binding is an identity binding as the management API shows it.
type binding struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Properties struct {
		Identity struct {
			ID       string `json:"resourceId"`
			ClientID string `json:"clientId"`
		} `json:"managedIdentity"`
		Proxy struct {
			URL string `json:"url"`
		} `json:"tokenProxy"`
	} `json:"properties"`
}

// identity is the bound identity's name.
func (b binding) identity() string {
	return b.Properties.Identity.ID[strings.LastIndexByte(b.Properties.Identity.ID, '/')+1:]
}

func bindingTable(all ...binding) table {
	t := table{head: []string{"NAME", "IDENTITY", "CLIENT ID", "TOKEN PROXY"}}
	for _, b := range all {
		t.rows = append(t.rows, []string{b.Name, b.identity(), b.Properties.Identity.ClientID, b.Properties.Proxy.URL})
	}
	return t
}

// bindingOwner is the cluster whose bindings are meant.
type bindingOwner struct {
	target
	cluster string
}

func (o *bindingOwner) path(c *client.Client) string {
	return o.clusterID(c, o.cluster) + "/identityBindings"
}

func (o *bindingOwner) id(c *client.Client, name string) string {
	return o.path(c) + "/" + url.PathEscape(name)
}

// missing says whether the binding or its cluster is not there.
func (o *bindingOwner) missing(ctx context.Context, c *client.Client, name string) error {
	if _, _, err := find[cluster](ctx, c, o.target, clusterKind(), o.cluster); err != nil {
		return err
	}
	hint := "lanyard binding list --cluster " + shell.Quote(o.cluster)
	if o.group != defaultGroup {
		hint += " -g " + shell.Quote(o.group)
	}
	return fault.WithHint(fault.Absent("no identity binding %q of the cluster %s", name, o.cluster), hint)
}

func newBindingCmd(a *app) *cobra.Command {
	var o bindingOwner
	cmd := noun("binding", "Identity bindings: which identities a cluster may give to its service accounts", []string{"bindings"})
	addTarget(cmd.PersistentFlags(), &o.target)
	cmd.PersistentFlags().StringVar(&o.cluster, "cluster", "", "`name` of the attached cluster")
	cmd.AddCommand(newBindingCreateCmd(a, &o), newBindingShowCmd(a, &o), newBindingListCmd(a, &o), newBindingDeleteCmd(a, &o))
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

func newBindingCreateCmd(a *app, o *bindingOwner) *cobra.Command {
	var name string
	create := &cobra.Command{
		Use: "create NAME", Short: "Let a cluster decide which of its service accounts may be an identity",
		Long: `Bind an identity to a cluster. From then on the cluster's own roles say which service
account may be that identity: whoever may use-managed-identity on its client id, in the
API group cid.wi.aks.azure.com.`,
		Example: `  lanyard binding create workload --cluster akscluster --identity workload -g lab
  lanyard binding create shared --cluster akscluster -g lab \
      --identity /subscriptions/SUB/resourceGroups/other/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shared`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if _, _, err := find[cluster](cmd.Context(), c, o.target, clusterKind(), o.cluster); err != nil {
				return err
			}
			id := name
			if !strings.HasPrefix(name, "/") {
				i, _, err := find[identity](cmd.Context(), c, o.target, identityKind(), name)
				if err != nil {
					return err
				}
				id = i.is.ID
			}
			var b whole[binding]
			body := map[string]any{"properties": map[string]any{"managedIdentity": map[string]string{"resourceId": id}}}
			made, err := c.Create(cmd.Context(), o.id(c, args[0]), clusterVersion, body, &b)
			if err != nil {
				return err
			}
			if !made {
				if !strings.EqualFold(b.is.Properties.Identity.ID, id) {
					return differs("identity binding", args[0], "the identity "+b.is.identity(), "its identity cannot be changed: delete it, or choose another name")
				}
				a.stays("identity binding", args[0])
			}
			return a.print(b, bindingTable(b.is))
		},
	}
	create.Flags().StringVarP(&name, "identity", "i", "", "`name` of an identity in the same group, or the resource id of any")
	_ = create.MarkFlagRequired("identity") // it fails only for a flag that is not there
	return create
}

func newBindingShowCmd(a *app, o *bindingOwner) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show an identity binding, and where the cluster's pods ask", Args: cobra.ExactArgs(1),
		Example: `  lanyard binding show workload --cluster akscluster -g lab`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var b whole[binding]
			_, err = c.Read(cmd.Context(), o.id(c, args[0]), clusterVersion, &b)
			if client.IsNotFound(err) {
				err = o.missing(cmd.Context(), c, args[0])
			}
			if err != nil {
				return err
			}
			return a.print(b, bindingTable(b.is))
		},
	}
}

func newBindingListCmd(a *app, o *bindingOwner) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List a cluster's identity bindings", Args: cobra.NoArgs,
		Example: `  lanyard binding list --cluster akscluster -g lab`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if _, _, err := find[cluster](cmd.Context(), c, o.target, clusterKind(), o.cluster); err != nil {
				return err
			}
			all, err := listAll[whole[binding]](cmd.Context(), c, o.path(c), clusterVersion)
			if err != nil {
				return err
			}
			return a.print(all, bindingTable(parts(all)...))
		},
	}
}

func newBindingDeleteCmd(a *app, o *bindingOwner) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete an identity binding: the cluster gives that identity to nobody any more", Args: cobra.ExactArgs(1),
		Example: `  lanyard binding delete workload --cluster akscluster -g lab`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			found, err := c.Delete(cmd.Context(), o.id(c, args[0]), clusterVersion)
			if err == nil && !found {
				err = o.missing(cmd.Context(), c, args[0])
			}
			return err
		},
	}
}
