package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
)

// The phases of `serviceaccount create`, in their order.
const (
	phaseIdentity   = "identity"
	phaseAccount    = "service-account"
	phaseCredential = "federated-credential"
	phaseRole       = "role-assignment"
)

var saPhases = []string{phaseIdentity, phaseAccount, phaseCredential, phaseRole}

// saOptions is what was asked for: one service account and the identity that it
// is to stand for.
type saOptions struct {
	target
	cluster    kubeFlags
	azure      azureFlags
	namespace  string
	identity   string
	credential string
	issuer     string
	audience   string
	expiration time.Duration
	role       string
	scope      string
	skip       []string
	dryRun     bool
}

func (o *saOptions) add(cmd *cobra.Command) {
	addTarget(cmd.Flags(), &o.target)
	o.cluster.add(cmd)
	o.azure.add(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.namespace, "namespace", "n", "", "`namespace` of the service account (default the kubeconfig's)")
	f.StringVarP(&o.identity, "identity", "i", "", "`name` of the managed identity (default NAMESPACE-NAME)")
	f.StringVar(&o.issuer, "issuer-url", "", "issuer of the cluster's tokens (default: ask the cluster)")
	f.StringVar(&o.audience, "audience", "api://AzureADTokenExchange", "audience of the tokens")
	f.StringVar(&o.role, "role", "", "`name` or id of a role for the identity")
	f.StringVar(&o.scope, "scope", "", "resource `id` that the role is for (default the subscription; in Azure it must be named)")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be done")
}

// saStep is what became of one phase.
type saStep struct {
	Phase  string `json:"phase"`
	Result string `json:"result"` // created, changed, unchanged, deleted, absent, skipped; or would-create …
	Detail string `json:"detail,omitempty"`
}

// saResult is the outcome, as -o json has it.
type saResult struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Identity  string   `json:"identity"`
	ClientID  string   `json:"clientId,omitempty"`
	Steps     []saStep `json:"steps"`
}

func (r *saResult) table() table {
	t := table{head: []string{"PHASE", "RESULT", "DETAIL"}}
	for _, s := range r.Steps {
		t.rows = append(t.rows, []string{s.Phase, s.Result, s.Detail})
	}
	return t
}

func newServiceAccountCmd(a *app) *cobra.Command {
	return noun("serviceaccount", "Service accounts: let one stand for a managed identity, in one go", []string{"sa", "serviceaccounts"},
		newSACreateCmd(a), newSADeleteCmd(a))
}

func newSACreateCmd(a *app) *cobra.Command {
	var o saOptions
	var only string
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
			return a.serviceAccount(cmd, &o, args[0], (*saRun).create, o.skip)
		},
	}
	addCreate := func(cmd *cobra.Command) {
		o.add(cmd)
		cmd.Flags().StringVar(&o.credential, "credential", "", "`name` of a new federated credential (default made of namespace, name and issuer)")
		cmd.Flags().DurationVar(&o.expiration, "token-expiration", 0, "life of the pods' tokens, 1h to 24h (default the webhook's)")
	}
	addCreate(cmd)
	cmd.Flags().StringSliceVar(&o.skip, "skip-phases", nil, "`phases` to leave out")
	phase := &cobra.Command{
		Use: "phase PHASE NAME", Short: "Run one phase: " + strings.Join(saPhases, ", "),
		Example: `  lanyard serviceaccount create phase service-account orders -n shop`,
		Args:    cobra.ExactArgs(2), ValidArgs: saPhases,
		RunE: func(cmd *cobra.Command, args []string) error {
			if only = args[0]; !slices.Contains(saPhases, only) {
				return fault.WithHint(fmt.Errorf("no such phase %q", only), "one of: "+strings.Join(saPhases, ", "))
			}
			skip := slices.DeleteFunc(slices.Clone(saPhases), func(p string) bool { return p == only })
			return a.serviceAccount(cmd, &o, args[1], (*saRun).create, skip)
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
			return a.serviceAccount(cmd, &o, args[0], (*saRun).delete, o.skip)
		},
	}
	o.add(cmd)
	cmd.Flags().StringSliceVar(&o.skip, "skip-phases", nil, "`phases` to leave out")
	return cmd
}

// serviceAccount runs a command over the phases.
func (a *app) serviceAccount(cmd *cobra.Command, o *saOptions, name string, work func(*saRun, context.Context) error, skip []string) error {
	for _, p := range skip {
		if !slices.Contains(saPhases, p) {
			return fault.WithHint(fmt.Errorf("no such phase %q", p), "one of: "+strings.Join(saPhases, ", "))
		}
	}
	if o.expiration != 0 && (o.expiration < time.Hour || o.expiration > 24*time.Hour) {
		return fmt.Errorf("token expiration %v: want 1h to 24h", o.expiration)
	}
	r := &saRun{saOptions: *o, a: a, name: name, located: cmd.Flags().Changed("location")}
	r.skip = skip
	defer r.close()
	var err error
	if r.k, err = a.cluster(o.cluster); err != nil {
		// A phase that asks nothing of the cluster can do without it.
		issuerToo := o.issuer == "" && !r.skips(phaseCredential) && (cmd.Name() != "delete" || r.skips(phaseIdentity))
		needed := !r.skips(phaseAccount) || o.namespace == "" || issuerToo
		if needed {
			return err
		}
	}
	if r.namespace == "" {
		r.namespace = r.k.Namespace()
	}
	if r.identity == "" {
		r.identity = r.namespace + "-" + name
	}
	if r.c, err = a.serverFor(o.azure); err != nil {
		return err
	}
	r.result = saResult{Namespace: r.namespace, Name: name, Identity: r.identity, Steps: []saStep{}}
	if err := work(r, cmd.Context()); err != nil {
		return err
	}
	if a.whole() {
		return a.print(r.result, r.result.table())
	}
	return nil
}

// saRun is one run over the phases.
type saRun struct {
	saOptions
	a       *app
	k       *kube.Cluster // nil if no phase asks the cluster
	c       *client.Client
	name    string
	located bool // --location was given
	id      identity
	result  saResult
}

func (r *saRun) close() {
	if r.k != nil {
		r.k.Close()
	}
}

func (r *saRun) skips(phase string) bool { return slices.Contains(r.skip, phase) }

// did notes and says what became of a phase. In a dry run a change is one that
// would be made.
func (r *saRun) did(phase, result, format string, args ...any) {
	if r.dryRun && slices.Contains([]string{"created", "changed", "deleted"}, result) {
		result = map[string]string{"created": "would-create", "changed": "would-change", "deleted": "would-delete"}[result]
	}
	s := saStep{phase, result, fmt.Sprintf(format, args...)}
	r.result.Steps = append(r.result.Steps, s)
	r.a.say("%-21s %-13s %s", s.Phase, s.Result, s.Detail)
}

func (r *saRun) create(ctx context.Context) error {
	for _, p := range []struct {
		name string
		do   func(context.Context) error
	}{
		{phaseIdentity, r.createIdentity}, {phaseAccount, r.createAccount},
		{phaseCredential, r.createCredential}, {phaseRole, r.createRole},
	} {
		if r.skips(p.name) {
			if p.name == phaseIdentity {
				if err := r.findIdentity(ctx); err != nil {
					return err
				}
			}
			continue
		}
		if err := p.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// findIdentity reads the identity, which later phases name.
func (r *saRun) findIdentity(ctx context.Context) error {
	err := r.c.ARM(ctx, "GET", r.identityID(r.c, r.identity), identityVersion, nil, &r.id)
	if client.IsNotFound(err) {
		return fault.WithHint(fmt.Errorf("no identity %q in resource group %s", r.identity, r.group), "leave the phase identity in, or name another with --identity")
	}
	r.result.ClientID = r.id.Properties.ClientID
	return err
}

func (r *saRun) createIdentity(ctx context.Context) error {
	err := r.c.ARM(ctx, "GET", r.identityID(r.c, r.identity), identityVersion, nil, &r.id)
	if err == nil {
		r.result.ClientID = r.id.Properties.ClientID
		r.did(phaseIdentity, "unchanged", "%s, client id %s", r.identity, r.id.Properties.ClientID)
		return nil
	}
	if !client.IsNotFound(err) {
		return err
	}
	if r.dryRun {
		r.did(phaseIdentity, "created", "%s", r.identity)
		return nil
	}
	if !r.c.Azure {
		if err := r.ensure(ctx, r.c); err != nil {
			return err
		}
	}
	location := r.location
	if !r.located {
		var group struct {
			Location string `json:"location"`
		}
		if err := r.c.ARM(ctx, "GET", r.groupID(r.c), groupsVersion, nil, &group); err != nil {
			return err
		}
		location = group.Location
	}
	body := map[string]string{"location": location}
	if err := r.c.ARM(ctx, "PUT", r.identityID(r.c, r.identity), identityVersion, body, &r.id); err != nil {
		return err
	}
	r.result.ClientID = r.id.Properties.ClientID
	r.did(phaseIdentity, "created", "%s, client id %s", r.identity, r.id.Properties.ClientID)
	return nil
}

// again repeats what a real cloud refuses while it still spreads the news of what
// was just made. A Lanyard server reads its own writes: it is asked once.
func (r *saRun) again(ctx context.Context, codes []string, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !r.c.Azure || attempt == 7 || !slices.Contains(codes, e.Code) {
			return err
		}
		r.a.say("waiting for Azure: %s", e.Code)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Second):
		}
	}
}
