package arm_test

import (
	"context"
	"errors"
	"strings"
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
