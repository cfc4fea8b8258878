package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Account is what admission needs of a service account.
type Account struct {
	Namespace, Name string
	// Annotations, of an Accounts only those that it keeps.
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
	synced   chan struct{} // closed once every service account has been heard of

	mu      sync.RWMutex
	all     map[string]*kept // by namespace/name; nil for most: they keep nothing. Guarded by mu
	heard   time.Time        // when the API server last said something; guarded by mu
	failure error            // of the last attempt to list or watch; guarded by mu
}

// kept are the annotations of an account, smaller than a map.
type kept []annotation

type annotation struct{ name, value string }

// WatchAccounts prepares to follow the service accounts. Run does it.
func (k *Cluster) WatchAccounts(c AccountsConfig) *Accounts {
	return &Accounts{k: k, prefixes: c.Prefixes, synced: make(chan struct{})}
}

// Run follows until ctx ends. It survives an API server that goes away.
func (a *Accounts) Run(ctx context.Context) error {
	return a.k.reflect(ctx, reflection{resource: accountResource(), store: &accountStore{a}, failed: a.fail, trim: a.trim})
}

// trim leaves what row reads.
func (a *Accounts) trim(o *metav1.PartialObjectMetadata) {
	o.ObjectMeta = metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, Annotations: a.keep(o.Annotations).annotations()}
}

// Synced says whether every service account has been heard of once.
func (a *Accounts) Synced() bool {
	select {
	case <-a.synced:
		return true
	default:
		return false
	}
}

// Wait returns when Synced, or when ctx ends.
func (a *Accounts) Wait(ctx context.Context) error {
	select {
	case <-a.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ready is nil when Synced, and otherwise says why not.
func (a *Accounts) Ready(context.Context) error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	switch {
	case a.Synced():
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
	k, ok := a.all[namespace+"/"+name]
	a.mu.RUnlock()
	if !ok {
		got, err := a.k.Account(ctx, namespace, name)
		if err != nil {
			return Account{}, err
		}
		k = a.keep(got.Annotations)
	}
	return Account{Namespace: namespace, Name: name, Annotations: k.annotations()}, nil
}

func (k *kept) annotations() map[string]string {
	if k == nil {
		return nil
	}
	all := make(map[string]string, len(*k))
	for _, a := range *k {
		all[a.name] = a.value
	}
	return all
}

func (a *Accounts) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failure = err
}

// keep is nil for an account that has nothing to keep.
func (a *Accounts) keep(all map[string]string) *kept {
	var k kept
	for name, value := range all {
		if slices.ContainsFunc(a.prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			k = append(k, annotation{name, value})
		}
	}
	if k == nil {
		return nil
	}
	return &k
}
