package kube_test

import (
	"encoding/json"
	"testing"

	"github.com/lanyard-io/lanyard/internal/kube"
)

func TestSelects(t *testing.T) {
	labels := map[string]string{"azure.workload.identity/use": "true", "app": "a"}
	for selector, want := range map[string]bool{
		"": true, "null": true, "{}": true,
		`{"matchLabels":{"azure.workload.identity/use":"true"}}`:                     true,
		`{"matchLabels":{"azure.workload.identity/use":"false"}}`:                    false,
		`{"matchExpressions":[{"key":"app","operator":"NotIn","values":["a","b"]}]}`: false,
		`{"matchExpressions":[{"key":"other","operator":"DoesNotExist"}]}`:           true,
	} {
		got, err := kube.Selects(json.RawMessage(selector), labels)
		if got != want || err != nil {
			t.Errorf("Selects(%s) = %v, %v; want %v", selector, got, err, want)
		}
	}
	for _, bad := range []string{"[]", `{"matchExpressions":[{"key":"a","operator":"Near"}]}`} {
		if _, err := kube.Selects(json.RawMessage(bad), labels); err == nil {
			t.Errorf("Selects(%s) succeeds", bad)
		}
	}
}
