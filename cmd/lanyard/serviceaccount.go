package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/serviceaccount"
	"github.com/lanyard-io/lanyard/internal/table"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// saOptions are the flags of create and delete.
type saOptions struct {
	serviceaccount.Config
	target
	cluster kubeFlags
	azure   azureFlags
}

func (o *saOptions) add(cmd *cobra.Command) {
	addTarget(cmd.Flags(), &o.target)
	o.cluster.add(cmd)
	o.azure.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.Namespace, "namespace", "n", "", "`namespace` of the service account (default the kubeconfig's)")
	f.StringVarP(&o.Identity, "identity", "i", "", "`name` of the managed identity (default NAMESPACE-NAME)")
	f.StringVar(&o.Issuer, "issuer-url", "", "issuer of the cluster's tokens (default: ask the cluster)")
	f.StringVar(&o.Audience, "audience", wi.Audience, "audience of the tokens")
	f.StringVar(&o.Role, "role", "", "`name` or id of a role for the identity")
	f.StringVar(&o.Scope, "scope", "", "resource `id` that the role is for (default the subscription; in Azure it must be named)")
	f.BoolVar(&o.DryRun, "dry-run", false, "only say what would be done")
}

func saTable(r *serviceaccount.Result) table.Table {
	t := table.Table{Head: []string{"PHASE", "RESULT", "DETAIL"}}
	for _, s := range r.Steps {
		t.Rows = append(t.Rows, []string{s.Phase, s.Result, s.Detail})
	}
	return t
}

func newServiceAccountCmd(a *app) *cobra.Command {
	return noun("serviceaccount", "Service accounts: let one stand for a managed identity, in one go", []string{"sa", "serviceaccounts"},
		newSACreateCmd(a), newSADeleteCmd(a))
}

func newSACreateCmd(a *app) *cobra.Command {
	var o saOptions
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make an identity, a service account that stands for it, and what joins the two",
		Long: `Make all that a workload needs, in phases:

  identity              the managed identity
  service-account       the service account, with the identity's client id; labels,
                        other annotations and image pull secrets stay as they are
  federated-credential  the trust in the cluster's tokens for this service account
  role-assignment       the identity's role, if --role names one

What is there already is left alone, so that it can be run again. --skip-phases
leaves phases out; "create phase PHASE NAME" runs one alone.

By default the identity is made on the Lanyard server. With --azure-env it is made
in Azure, with the credentials that az, the environment or the machine has.`,
		Example: `  lanyard serviceaccount create orders -n shop --role Reader
  lanyard sa create orders -n shop --azure-env AzurePublicCloud -g rg-shop --location westeurope
  lanyard sa create orders --skip-phases identity,role-assignment --identity shared
  lanyard sa create phase federated-credential orders -n shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.serviceAccount(cmd, &o, args[0], serviceaccount.Create)
		},
	}
	addCreate := func(cmd *cobra.Command) {
		o.add(cmd)
		cmd.Flags().StringVar(&o.Credential, "credential", "", "`name` of a new federated credential (default made of namespace, name and issuer)")
		cmd.Flags().DurationVar(&o.Expiration, "token-expiration", 0, "life of the pods' tokens, 1h to 24h (default the webhook's)")
	}
	addCreate(cmd)
	cmd.Flags().StringSliceVar(&o.Skip, "skip-phases", nil, "`phases` to leave out")
	phase := &cobra.Command{
		Use: "phase PHASE NAME", Short: "Run one phase: " + strings.Join(serviceaccount.Phases(), ", "),
		Example: `  lanyard serviceaccount create phase service-account orders -n shop`,
		Args:    cobra.ExactArgs(2), ValidArgs: serviceaccount.Phases(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := serviceaccount.CheckPhase(args[0]); err != nil {
				return err
			}
			o.Skip = slices.DeleteFunc(serviceaccount.Phases(), func(p string) bool { return p == args[0] })
			return a.serviceAccount(cmd, &o, args[1], serviceaccount.Create)
		},
	}
	addCreate(phase)
	cmd.AddCommand(phase)
	return cmd
}

func newSADeleteCmd(a *app) *cobra.Command {
	var o saOptions
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a service account, its identity and what joins the two",
		Long: `Delete what create made, in the opposite order: the identity's role assignments, the
federated credential, the service account, the identity. What is gone already is no
error. An identity that other service accounts stand for too is not deleted.`,
		Example: `  lanyard serviceaccount delete orders -n shop
  lanyard sa delete orders -n shop --skip-phases identity,role-assignment`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.serviceAccount(cmd, &o, args[0], serviceaccount.Delete)
		},
	}
	o.add(cmd)
	cmd.Flags().StringSliceVar(&o.Skip, "skip-phases", nil, "`phases` to leave out")
	return cmd
}

// serviceAccount runs a command over the phases.
func (a *app) serviceAccount(cmd *cobra.Command, o *saOptions, name string,
	work func(context.Context, serviceaccount.Config) (*serviceaccount.Result, error),
) error {
	c := o.Config
	c.Name, c.Group = name, o.group
	if cmd.Flags().Changed("location") {
		c.Location = o.location
	}
	if err := c.Validate(); err != nil {
		return err
	}
	k, err := a.cluster(o.cluster)
	if err == nil {
		defer k.Close()
		c.Cluster = k
	} else if c.NeedsCluster(cmd.Name() == "delete") {
		return err
	}
	if c.Server, err = a.serverFor(o.azure); err != nil {
		return err
	}
	c.Note = func(s serviceaccount.Step) { a.say("%-21s %-13s %s", s.Phase, s.Result, s.Detail) }
	c.Wait = func(reason string) { a.say("waiting for Azure: %s", reason) }
	r, err := work(cmd.Context(), c)
	if err != nil {
		return err
	}
	if a.whole() {
		return a.print(r, saTable(r))
	}
	return nil
}
