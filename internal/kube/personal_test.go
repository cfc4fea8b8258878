package kube

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/internal/fault"
)

// folder writes files, and gives where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	personal = `
current-context: dev
clusters: [{name: dev, cluster: {server: "https://dev.test/", certificate-authority: ca.pem}}]
users: [{name: me, user: {tokenFile: token}}]
contexts: [{name: dev, context: {cluster: dev, user: me, namespace: shop}}]
`
	second = `
current-context: other
clusters: [{name: dev, cluster: {server: "https://elsewhere.test"}}]
users: [{name: them, user: {token: theirs}}]
contexts: [{name: other, context: {cluster: dev, user: them}}, {name: lost, context: {cluster: gone, user: them}}]
`
)

func TestPersonalKubeconfig(t *testing.T) {
	dir := folder(t, map[string]string{"config": strings.Replace(personal, ", certificate-authority: ca.pem", "", 1), "second": second, "token": "\ufeff the-token\n"})
	path := filepath.Join(dir, "config")
	k, err := ReadKubeconfig(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if k.Server() != "https://dev.test" || k.Users[0].User.Token != "the-token" || k.Contexts[0].Context.Namespace != "shop" {
		t.Errorf("%+v", k)
	}
	// What is read here is what the server reads.
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseKubeconfig(b); err != nil {
		t.Errorf("the server does not take it: %v", err)
	}

	// Of several files the first decides, and one that is not there is passed over.
	several := strings.Join([]string{path, filepath.Join(dir, "missing"), filepath.Join(dir, "second")}, string(filepath.ListSeparator))
	if k, err := ReadKubeconfig(several, ""); err != nil || k.Current != "dev" {
		t.Errorf("several files: %+v, %v", k, err)
	}
	if k, err := ReadKubeconfig(several, "other"); err != nil || k.Server() != "https://dev.test" || k.Users[0].User.Token != "theirs" {
		t.Errorf("the second file's context: %+v, %v", k, err)
	}
	if _, err := Connect(Config{Path: several, Context: "other"}); err != nil {
		t.Errorf("connecting by it: %v", err)
	}
}

func TestPersonalKubeconfigsThatAreOfNoUse(t *testing.T) {
	for name, c := range map[string]struct{ config, context, want, hint string }{
		"no-context":      {"kind: Config", "", "it has no current context", "--context"},
		"unknown-context": {personal, "prod", `it has no context "prod"`, ""},
		"unknown-cluster": {second, "lost", `it has no cluster "gone"`, ""},
		"no-kubeconfig":   {"secret: [", "", "is not a kubeconfig that can be read", ""},
		"no-file":         {personal, "", "reading the kubeconfig's certificate-authority", ""},
		"program":         {strings.Replace(second, "token: theirs", "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}", 1), "", "runs a program to sign in", "a client certificate or a token"},
		"unchecked":       {strings.Replace(second, "elsewhere.test\"", "elsewhere.test\", insecure-skip-tls-verify: true", 1), "", "insecure-skip-tls-verify", "the cluster's CA"},
		"http":            {strings.Replace(second, "https:", "http:", 1), "", "must be an https URL", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder(t, map[string]string{"config": c.config, "token": "t"}), "config")
			_, err := ReadKubeconfig(path, c.context)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("error %v, hint %q; want %q, %q", err, fault.Hint(err), c.want, c.hint)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats the file: %v", err)
			}
		})
	}
	if _, err := ReadKubeconfig(filepath.Join(t.TempDir(), "none"), ""); err == nil || !strings.Contains(fault.Hint(err), "--kubeconfig") {
		t.Errorf("no file: %v, hint %q", err, fault.Hint(err))
	}
}
