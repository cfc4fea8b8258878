package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Account is what admission needs of a service account.
type Account struct {
	Namespace, Name string
	// Annotations, of an Accounts only those that it keeps. They are shared: do
	// not change them.
	Annotations map[string]string
}

func accountResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
}

// Account reads a service account from the API server, its metadata only.
func (k *Cluster) Account(ctx context.Context, namespace, name string) (Account, error) {
	if err := checkNames(namespace, name); err != nil {
		return Account{}, err
	}
	ctx, cancel := k.with(ctx)
	defer cancel()
	o, err := k.metadata.Resource(accountResource()).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Account{}, k.explain(err)
	}
	return Account{Namespace: o.Namespace, Name: o.Name, Annotations: o.Annotations}, nil
}

// AccountsConfig for WatchAccounts.
type AccountsConfig struct {
	// Prefixes of the annotations to keep; no other is held in memory.
	Prefixes []string
}

// Accounts are all service accounts of a cluster, followed by watching.
type Accounts struct {
	k        *Cluster
	prefixes []string

	mu      sync.RWMutex
	all     map[string]map[string]string // namespace/name to the kept annotations; guarded by mu
	synced  bool                         // guarded by mu
	heard   time.Time                    // when the API server last said something; guarded by mu
	failure error                        // of the last attempt to list or watch; guarded by mu
}

// WatchAccounts prepares to follow the service accounts. Run does it.
func (k *Cluster) WatchAccounts(c AccountsConfig) *Accounts {
	return &Accounts{k: k, prefixes: c.Prefixes}
}

// Run follows until ctx ends. It survives an API server that goes away.
func (a *Accounts) Run(ctx context.Context) error {
	return a.k.reflect(ctx, reflection{resource: accountResource(), store: &accountStore{a}, failed: a.fail})
}

// Synced says whether every service account has been heard of once.
func (a *Accounts) Synced() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.synced
}

// Ready is nil when Synced, and otherwise says why not.
func (a *Accounts) Ready(context.Context) error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	switch {
	case a.synced:
		return nil
	case a.failure != nil:
		return fmt.Errorf("reading the service accounts: %w", a.failure)
	}
	return errors.New("reading the service accounts")
}

// Len is how many there are.
func (a *Accounts) Len() int {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.all)
}

// Heard is when the API server last said something about them. A healthy watch
// hears of nothing new every minute or so.
func (a *Accounts) Heard() time.Time {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.heard
}

// Account looks a service account up. One that is not known, because it was
// made a moment ago perhaps, is read from the API server.
func (a *Accounts) Account(ctx context.Context, namespace, name string) (Account, error) {
	a.mu.RLock()
	annotations, ok := a.all[namespace+"/"+name]
	a.mu.RUnlock()
	if ok {
		return Account{Namespace: namespace, Name: name, Annotations: annotations}, nil
	}
	got, err := a.k.Account(ctx, namespace, name)
	if err != nil {
		return Account{}, err
	}
	got.Annotations = a.keep(got.Annotations)
	return got, nil
}

func (a *Accounts) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure = err
}

func (a *Accounts) keep(all map[string]string) map[string]string {
	var kept map[string]string
	for name, value := range all {
		for _, prefix := range a.prefixes {
			if strings.HasPrefix(name, prefix) {
				if kept == nil {
					kept = map[string]string{}
				}
				kept[name] = value
				break
			}
		}
	}
	return kept
}
