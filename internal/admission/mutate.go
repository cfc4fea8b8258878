package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lanyard-io/lanyard/internal/apierr"
	"github.com/lanyard-io/lanyard/internal/wi"
)

// Account is what is read of a service account.
type Account struct {
	Namespace   string
	Name        string
	Annotations map[string]string
}

// Accounts finds service accounts; on a miss it asks the API server before it
// says ErrNoAccount.
type Accounts interface {
	Account(ctx context.Context, namespace, name string) (Account, error)
}

// ErrNoAccount says that there is no such service account.
var ErrNoAccount = errors.New("no such service account")

// Patch is what Mutate decided. No operations means that the pod is as it should be.
type Patch struct {
	Ops      []Op
	Warnings []string // for the person at kubectl
	ClientID string   // the identity that the pod gets; may be empty
	Subject  string   // of its token; empty if no federated credential is asked for it
	Touched  int      // containers that an operation adds or changes
}

// Mutate computes the patch for a pod, given as JSON. It touches nothing but
// what it adds, and what it added before and the service account no longer
// says. Errors are apierr.Invalid with a sentence for the pod's author.
func Mutate(c *Config, pod []byte, namespace string, account Account) (Patch, error) {
	if !json.Valid(pod) {
		return Patch{}, apierr.New(apierr.Invalid, "the pod is not valid JSON")
	}
	p, err := readPod(pod)
	if err != nil {
		return Patch{}, err
	}
	return mutate(c, p, namespace, account)
}

// mutation is the work on one pod.
type mutation struct {
	c         *Config
	p         *pod
	namespace string
	account   Account
	values    values
	old       injected
	vars      []variable
	token     tokenVolume
	kept      map[string][]string // variables of the workload that look like ours, by container
	notes     []note              // annotations to set
	own       []variableConflict  // variables that workloads set themselves
	patch     Patch
}

func mutate(c *Config, p *pod, namespace string, account Account) (Patch, error) {
	if _, mirror := p.noted[mirrorNote]; mirror {
		return Patch{}, nil
	}
	m := &mutation{c: c, p: p, namespace: namespace, account: account, kept: map[string][]string{}}
	m.old = readInjected(p.noted[injectedNote])
	if err := m.readValues(); err != nil {
		return Patch{}, err
	}
	m.planToken()
	m.vars = m.variables()

	m.patchVolumes()
	for _, l := range []*list{&p.inits, &p.containers} {
		for i := range l.items {
			m.patchContainer(l, i)
		}
	}
	m.patchSidecar()
	m.patchAliases()
	m.warnOfOwnVariables()
	if err := m.patchAnnotations(); err != nil {
		return Patch{}, err
	}
	m.patch.ClientID = m.values.clientID
	if !m.values.binding {
		m.patch.Subject = wi.Subject{Namespace: namespace, Name: account.Name}.String()
	}
	m.patch.Warnings = bound(m.patch.Warnings)
	return m.patch, nil
}

func (m *mutation) warn(format string, args ...any) {
	m.patch.Warnings = append(m.patch.Warnings, fmt.Sprintf(format, args...))
}

// maxWarnings keeps the whole below what the API server passes on (4 KiB).
const maxWarnings = 12

func bound(warnings []string) []string {
	if len(warnings) <= maxWarnings {
		return warnings
	}
	rest := len(warnings) - maxWarnings + 1
	return append(warnings[:maxWarnings-1:maxWarnings-1], fmt.Sprintf("and %d more warnings about this pod", rest))
}
