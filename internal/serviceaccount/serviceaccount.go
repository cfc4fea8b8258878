package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// The phases, in the order of Create.
const (
	PhaseIdentity   = "identity"
	PhaseAccount    = "service-account"
	PhaseCredential = "federated-credential"
	PhaseRole       = "role-assignment"
)

// Phases are all of them.
func Phases() []string { return []string{PhaseIdentity, PhaseAccount, PhaseCredential, PhaseRole} }

// CheckPhase says whether there is such a phase.
func CheckPhase(name string) error {
	if !slices.Contains(Phases(), name) {
		return fault.WithHint(fmt.Errorf("no such phase %q", name), "one of: "+strings.Join(Phases(), ", "))
	}
	return nil
}

// Config is one service account and the identity that it is to stand for.
type Config struct {
	// Server is a Lanyard server, or Azure.
	Server *manage.Client
	// Cluster is the account's; it may be nil if NeedsCluster says so.
	Cluster *kube.Cluster
	// Namespace defaults to the kubeconfig's.
	Namespace, Name string
	// Identity defaults to NAMESPACE-NAME.
	Identity, Group string
	// Location of a new identity; default its group's.
	Location string
	// Credential is the name of a new federated credential, by default made of
	// namespace, name and issuer.
	Credential string
	// Issuer of the cluster's tokens; default what the cluster says.
	Issuer   string
	Audience string
	// Expiration of the pods' tokens, 1 to 24 hours; 0 leaves it to the webhook.
	Expiration time.Duration
	// Role for the identity, by name or id; none if it is empty. Scope is what it is for,
	// by default the subscription.
	Role, Scope string
	Skip        []string // phases to leave out
	DryRun      bool     // change nothing
	// Note is told of each step as it is done, and Wait why one takes long.
	Note func(Step)
	Wait func(reason string)
}

// NeedsCluster says whether the phases that are left ask the cluster anything.
func (c *Config) NeedsCluster(deleting bool) bool {
	issuer := c.Issuer == "" && !c.skips(PhaseCredential) && (!deleting || c.skips(PhaseIdentity))
	return !c.skips(PhaseAccount) || c.Namespace == "" || issuer
}

// Validate says what is wrong with what was asked for.
func (c *Config) Validate() error {
	for _, p := range c.Skip {
		if err := CheckPhase(p); err != nil {
			return err
		}
	}
	if c.Expiration != 0 && (c.Expiration < time.Hour || c.Expiration > 24*time.Hour) {
		return fmt.Errorf("token expiration %v: want 1h to 24h", c.Expiration)
	}
	return nil
}

func (c *Config) skips(phase string) bool { return slices.Contains(c.Skip, phase) }

// Step is what became of one phase.
type Step struct {
	Phase  string `json:"phase"`
	Result string `json:"result"` // created, changed, unchanged, deleted, absent, skipped; or would-create …
	Detail string `json:"detail,omitempty"`
}

// Result is the outcome. Its JSON form is stable.
type Result struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Identity  string `json:"identity"`
	ClientID  string `json:"clientId,omitempty"`
	Steps     []Step `json:"steps"`
}

// run is one run over the phases.
type run struct {
	Config
	id     manage.Identity // without an id: there is none
	result Result
}

func newRun(c Config) *run {
	if c.Namespace == "" {
		c.Namespace = c.Cluster.Namespace()
	}
	if c.Identity == "" {
		c.Identity = c.Namespace + "-" + c.Name
	}
	return &run{Config: c, result: Result{Namespace: c.Namespace, Name: c.Name, Identity: c.Identity, Steps: []Step{}}}
}

// phase is one, and what does it.
type phase struct {
	name string
	do   func(context.Context) error
}

func (r *run) each(ctx context.Context, phases ...phase) error {
	for _, p := range phases {
		if r.skips(p.name) {
			continue
		}
		if err := p.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// Create makes what is not there.
func Create(ctx context.Context, c Config) (*Result, error) {
	r := newRun(c)
	if r.skips(PhaseIdentity) {
		if err := r.findIdentity(ctx); err != nil {
			return nil, err
		}
	}
	err := r.each(ctx, phase{PhaseIdentity, r.createIdentity}, phase{PhaseAccount, r.createAccount},
		phase{PhaseCredential, r.createCredential}, phase{PhaseRole, r.createRole})
	return &r.result, err
}

// Delete takes away what Create made, in the opposite order. An identity that others
// stand for too is not deleted.
func Delete(ctx context.Context, c Config) (*Result, error) {
	r := newRun(c)
	if _, err := r.lookUp(ctx); err != nil {
		return nil, err
	}
	if !r.skips(PhaseIdentity) && r.id.ID != "" {
		if err := r.alone(ctx); err != nil {
			return nil, err
		}
	}
	err := r.each(ctx, phase{PhaseRole, r.deleteRoles}, phase{PhaseCredential, r.deleteCredential},
		phase{PhaseAccount, r.deleteAccount}, phase{PhaseIdentity, r.deleteIdentity})
	return &r.result, err
}

// did notes what became of a phase. In a dry run a change is one that would be made.
func (r *run) did(phase, result, format string, args ...any) {
	if would, ok := map[string]string{"created": "would-create", "changed": "would-change", "deleted": "would-delete"}[result]; ok && r.DryRun {
		result = would
	}
	s := Step{phase, result, fmt.Sprintf(format, args...)}
	r.result.Steps = append(r.result.Steps, s)
	r.Note(s)
}

// again repeats what a real cloud refuses while it still spreads the news of what
// was just made. A Lanyard server reads its own writes: it is asked once.
func (r *run) again(ctx context.Context, codes []string, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		e, ok := errors.AsType[*client.Error](err)
		if !ok || !r.Server.Azure || attempt == 7 || !slices.Contains(codes, e.Code) {
			return err
		}
		r.Wait(e.Code)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Second):
		}
	}
}
