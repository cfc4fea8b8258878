package kube

import (
	"strings"
	"testing"
)

func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte(`{"current-context":"a","clusters":[{"name":"c","cluster":{"server":"https://h"}}],"users":[{"name":"u","user":{"token":"t"}}],"contexts":[{"name":"a","context":{"cluster":"c","user":"u"}}]}`))
	f.Add([]byte(`{"current-context":"a"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKubeconfig(b)
		if err != nil {
			return
		}
		api, err := Connect(Config{Kubeconfig: b, TryExpired: true})
		if err != nil {
			t.Fatalf("a kubeconfig that was accepted cannot be used: %v", err)
		}
		defer api.Close()
		if !strings.HasPrefix(strings.ToLower(api.Server()), "https://") {
			t.Errorf("server %q is not https", api.Server())
		}
		named, err := k.Named("n", "u")
		if err != nil || len(named) == 0 {
			t.Errorf("naming it: %v", err)
		}
	})
}
