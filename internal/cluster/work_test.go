package arm_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode"

	"github.com/lanyard-io/lanyard/internal/arm"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

// talkative is work in a cluster whose API server says what it likes.
type talkative struct{ arm.Webhooks }

func (talkative) Plan(*model.Cluster, string) (model.WebhookMode, string, error) {
	return model.WebhookURL, "digest", nil
}

func (talkative) Install(context.Context, []byte, *model.Cluster, string) (string, error) {
	words := strings.Repeat("\x1b[2J\nnobody is ", 1<<18)
	return words, errors.New(words)
}

func TestWordsOfAClusterAreKeptShort(t *testing.T) {
	l, k := newLab(t, withClusters(t), func(c *arm.Config) { c.Webhooks = talkative{} }).withGroup(), newKube(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.arm.Run(ctx) }()
	defer func() {
		stop()
		l.check(<-done)
	}()
	l.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), map[string]any{
		"oidcIssuerProfile": map[string]any{"enabled": true}, "securityProfile": map[string]any{"workloadIdentity": map[string]any{"enabled": true}},
	}))
	state, _, _ := store.Get[*model.ClusterState](l.view(), model.ClusterStateKey(strings.ToLower(clusters+"/aks")))
	if state == nil || state.Status != model.ClusterFailed {
		t.Fatalf("how it went is not written down: %+v", state)
	}
	for _, words := range []string{state.Error, state.Note} {
		if len(words) > 4096 || strings.ContainsFunc(words, unicode.IsControl) || !strings.Contains(words, "nobody is") {
			t.Errorf("%d bytes: %.60q", len(words), words)
		}
	}
}

// clumsy installs for as long as it may, and what it asked for last is done only
// when another has removed all.
type clumsy struct {
	talkative
	began, removed chan struct{}
	once           *sync.Once
	there          *atomic.Bool
	ended          <-chan struct{}
}

func (c clumsy) Install(ctx context.Context, _ []byte, _ *model.Cluster, _ string) (string, error) {
	c.there.Store(true)
	close(c.began)
	<-ctx.Done()
	select {
	case <-c.removed:
	case <-c.ended: // the test failed
	}
	c.there.Store(true)
	return "", ctx.Err()
}

func (c clumsy) Remove(context.Context, []byte, model.WebhookMode, model.WebhookMode) error {
	c.there.Store(false)
	c.once.Do(func() { close(c.removed) })
	return nil
}

func TestDetachingWhileAnotherReplicaInstalls(t *testing.T) {
	c := clumsy{began: make(chan struct{}), removed: make(chan struct{}), once: new(sync.Once), there: new(atomic.Bool)}
	ended, end := context.WithCancel(t.Context())
	defer end()
	c.ended = ended.Done()
	same := withClusters(t)
	a, k := newLab(t, same, func(config *arm.Config) { config.Webhooks = c }).withGroup(), newKube(t)
	b := newLab(t, same, func(config *arm.Config) { config.Webhooks, config.Store = c, a.st })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.arm.Run(ctx) }()
	defer func() {
		end()
		stop()
		a.check(<-done)
	}()
	a.must(201, "PUT", clusters+"/aks", attachment(k.config(nil), map[string]any{
		"oidcIssuerProfile": map[string]any{"enabled": true}, "securityProfile": map[string]any{"workloadIdentity": map[string]any{"enabled": true}},
	}))
	<-c.began
	b.must(202, "DELETE", clusters+"/aks", "")
	if c.there.Load() {
		t.Error("the webhook stays in a cluster that nobody has the credentials of")
	}
	if state, _, ok := store.Get[*model.ClusterState](a.view(), model.ClusterStateKey(strings.ToLower(clusters+"/aks"))); ok {
		t.Errorf("the state stays: %+v", state)
	}
}
