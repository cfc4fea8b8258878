package main

import (
	"cmp"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
)

// kubeFlags say which cluster to ask, as kubectl's do.
type kubeFlags struct{ path, context string }

func (k *kubeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.path, "kubeconfig", "", "`file` (default $KUBECONFIG or ~/.kube/config)")
	cmd.Flags().StringVar(&k.context, "context", "", "`name` of the kubeconfig's context (default the current one)")
}

// kubeconfigPath is what kubectl would read.
func (a *app) kubeconfigPath(k kubeFlags) string {
	return cmp.Or(k.path, a.Getenv("KUBECONFIG"), filepath.Join(a.Getenv("HOME"), ".kube", "config"))
}

// cluster connects to the cluster that kubectl would ask.
func (a *app) cluster(k kubeFlags) (*kube.Cluster, error) {
	c, err := kube.Connect(kube.Config{Path: a.kubeconfigPath(k), Context: k.context})
	return c, fault.WithHint(err, "name a kubeconfig with --kubeconfig and one of its contexts with --context")
}
