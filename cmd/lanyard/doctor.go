package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lanyard-io/lanyard/internal/doctor"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/table"
	"github.com/lanyard-io/lanyard/internal/verdict"
)

func newDoctorCmd(a *app) *cobra.Command {
	var z azureFlags
	cmd := &cobra.Command{
		Use: "doctor", Short: "Find out why a workload has no identity, and how to fix it",
		Long: `Without a noun, check the server: that it answers, that one can sign in, and what
it knows of its attached clusters. With a pod, walk the chain from the pod's label
to the vault's permission, and name the first link that is broken.

Nothing is changed. The exit code is 1 when something is broken.`,
		Example: `  lanyard doctor
  lanyard doctor pod quick-start -n default
  lanyard doctor pod quick-start --azure-env AzurePublicCloud    # a cluster that uses Azure itself`,
		Args: verbOnly,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.serverFor(z)
			if err != nil {
				return err
			}
			return a.diagnosis(doctor.Server(cmd.Context(), c))
		},
	}
	z.add(cmd)
	cmd.AddCommand(newDoctorPodCmd(a))
	return cmd
}

func newDoctorPodCmd(a *app) *cobra.Command {
	var z azureFlags
	var k kubeFlags
	var namespace string
	cmd := &cobra.Command{
		Use: "pod NAME", Short: "Walk a pod's chain, and name the first broken link",
		Long: `Walk the chain by which a pod gets its secret: label, service account, client id,
webhook and its certificate, what was injected, the token, its issuer and keys, the
identity, its federated credential, the exchange, and the vault's permission.

The cluster is asked as kubectl asks it. It makes a token for the pod's service
account, which is presented to the token service and never shown, and says what it
would inject into such a pod (a dry run). A secret that the pod names is asked for
and thrown away unread. What may not be looked at is skipped, with the reason.

Without a Lanyard server the links that need one are skipped; --azure-env looks at
Azure instead.`,
		Example: `  lanyard doctor pod quick-start
  lanyard doctor pod quick-start -n team-a --context prod -o json
  lanyard doctor pod quick-start --azure-env AzurePublicCloud --subscription 00000000-0000-0000-0000-000000000000`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := a.cluster(k)
			if err != nil {
				return err
			}
			defer cluster.Close()
			if namespace == "" {
				namespace = cluster.Namespace()
			}
			c := doctor.Config{Cluster: cluster}
			if err := a.doctorServer(&c, z); err != nil {
				return err
			}
			r, err := doctor.Pod(cmd.Context(), c, namespace, args[0])
			if err != nil {
				return err
			}
			return a.diagnosis(r)
		},
	}
	k.add(cmd)
	z.add(cmd)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "`namespace` of the pod (default the kubeconfig's)")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.podNames(cmd.Context(), k, namespace), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// podNames completes a pod's name; whatever goes wrong, there is none.
func (a *app) podNames(ctx context.Context, k kubeFlags, namespace string) []string {
	cluster, err := a.cluster(k)
	if err != nil {
		return nil
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if namespace == "" {
		namespace = cluster.Namespace()
	}
	return doctor.PodNames(ctx, cluster, namespace)
}

// doctorServer finds the server to look at. That there is none is not at fault:
// the cluster may use Azure.
func (a *app) doctorServer(c *doctor.Config, z azureFlags) (err error) {
	server, err := a.serverFor(z)
	if err != nil && z.env == "" && a.server == "" && (errors.Is(err, fs.ErrNotExist) || fault.Hint(err) != "") {
		if _, stateErr := a.state(); stateErr != nil {
			return nil
		}
	}
	if err != nil {
		return err
	}
	c.Server, c.TenantID = server, server.Tenant
	if z.env == "" {
		c.PrivateCA = a.caFile != ""
		if state, err := a.state(); a.server == "" && err == nil {
			c.AzureNames, c.PrivateCA = state.AzureNames, state.OwnCA
		}
	}
	return nil
}

// diagnosis prints a report; a broken link makes an error of it.
func (a *app) diagnosis(r *doctor.Report) error {
	if a.whole() {
		if err := a.print(r, table.Table{}); err != nil {
			return err
		}
	} else {
		f, ok := a.Out.(*os.File)
		r.Print(a.Out, ok && term.IsTerminal(int(f.Fd())) && a.Getenv("NO_COLOR") == "")
	}
	if l, ok := r.FirstBroken(); ok {
		return fault.WithHint(fmt.Errorf("broken: %s: %s", l.Name, verdict.Sentence(doctor.OneLine(l.Detail))), doctor.OneLine(l.Fix))
	}
	return nil
}
