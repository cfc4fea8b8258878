package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-io/lanyard/internal/fault"
	"github.com/lanyard-io/lanyard/internal/textfile"
)

// kubePart is a named cluster, user or context of a kubeconfig; what it holds is
// under its kind's own name.
type kubePart struct {
	Name    string         `yaml:"name" json:"name"`
	Cluster map[string]any `yaml:"cluster,omitempty" json:"cluster,omitempty"`
	User    map[string]any `yaml:"user,omitempty" json:"user,omitempty"`
	Context map[string]any `yaml:"context,omitempty" json:"context,omitempty"`
}

// kubeConfig is https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/.
type kubeConfig struct {
	Current  string     `yaml:"current-context" json:"current-context"`
	Clusters []kubePart `yaml:"clusters" json:"clusters"`
	Users    []kubePart `yaml:"users" json:"users"`
	Contexts []kubePart `yaml:"contexts" json:"contexts"`
}

// kubeconfigPath is the file that kubectl would read.
func (a *app) kubeconfigPath() string {
	if first, _, _ := strings.Cut(a.Getenv("KUBECONFIG"), string(os.PathListSeparator)); first != "" {
		return first
	}
	return filepath.Join(a.Getenv("HOME"), ".kube", "config")
}

// readKubeconfig makes JSON of one context with all that it needs; the files that
// it refers to are read here, because the server cannot.
func readKubeconfig(path, context string) ([]byte, error) {
	b, err := textfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fmt.Errorf("no kubeconfig at %s", path), "name one: --kubeconfig FILE, or KUBECONFIG in the environment")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	var k kubeConfig
	if err := yaml.Unmarshal(b, &k); err != nil {
		return nil, fmt.Errorf("%s: not a kubeconfig", path) // the parser's own words may quote a credential
	}
	one, err := k.one(context)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cluster, user := one.Clusters[0].Cluster, one.Users[0].User
	for _, program := range []string{"exec", "auth-provider"} {
		if user[program] != nil {
			return nil, fault.WithHint(fmt.Errorf("%s: user %q signs in with a program (%s), which the server cannot run", path, one.Users[0].Name, program),
				"give a kubeconfig whose user has a client certificate or a service account's token")
		}
	}
	if cluster["insecure-skip-tls-verify"] == true {
		return nil, fault.WithHint(fmt.Errorf("%s: cluster %q skips the check of its certificate", path, one.Clusters[0].Name),
			"replace insecure-skip-tls-verify by certificate-authority-data")
	}
	dir := filepath.Dir(path)
	err = errors.Join(
		inline(cluster, "certificate-authority", dir), inline(user, "client-certificate", dir), inline(user, "client-key", dir),
		inlineToken(user, dir))
	if err != nil {
		return nil, err
	}
	return json.Marshal(one)
}

// one is the kubeconfig of one context; the current one if none is named.
func (k *kubeConfig) one(context string) (*kubeConfig, error) {
	if context == "" {
		context = k.Current
	}
	if context == "" {
		return nil, fault.WithHint(errors.New("it has no current context"), "name one with --context")
	}
	find := func(kind, name string, parts []kubePart) ([]kubePart, error) {
		for _, p := range parts {
			if p.Name == name {
				return []kubePart{p}, nil
			}
		}
		return nil, fmt.Errorf("it has no %s %q", kind, name)
	}
	out := &kubeConfig{Current: context}
	var err error
	if out.Contexts, err = find("context", context, k.Contexts); err != nil {
		return nil, err
	}
	named := func(kind string) string { s, _ := out.Contexts[0].Context[kind].(string); return s }
	if out.Clusters, err = find("cluster", named("cluster"), k.Clusters); err != nil {
		return nil, err
	}
	if out.Users, err = find("user", named("user"), k.Users); err != nil {
		return nil, err
	}
	if out.Clusters[0].Cluster == nil || out.Users[0].User == nil {
		return nil, fmt.Errorf("the cluster or the user of context %q is empty", context)
	}
	return out, nil
}

// inline replaces a file's name by its content, as kubectl's --flatten does. The
// -data field wins, as in kubectl.
func inline(part map[string]any, field, dir string) error {
	name, _ := part[field].(string)
	delete(part, field)
	if name == "" || part[field+"-data"] != nil {
		return nil
	}
	b, err := textfile.Read(beside(dir, name))
	if err != nil {
		return fmt.Errorf("reading the kubeconfig's %s: %w", field, err)
	}
	part[field+"-data"] = base64.StdEncoding.EncodeToString(b)
	return nil
}

func inlineToken(user map[string]any, dir string) error {
	name, _ := user["tokenFile"].(string)
	delete(user, "tokenFile")
	if name == "" {
		return nil
	}
	b, err := textfile.Read(beside(dir, name))
	if err != nil {
		return fmt.Errorf("reading the kubeconfig's tokenFile: %w", err)
	}
	user["token"] = strings.TrimSpace(string(b))
	return nil
}

func beside(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// serverOf is the API server in what readKubeconfig made.
func serverOf(kubeconfig []byte) string {
	var k kubeConfig
	if json.Unmarshal(kubeconfig, &k) != nil || len(k.Clusters) == 0 {
		return ""
	}
	text, _ := k.Clusters[0].Cluster["server"].(string)
	return text
}

// sameServer compares two addresses of API servers.
func sameServer(a, b string) bool {
	plain := func(s string) string { return strings.ToLower(strings.TrimRight(s, "/")) }
	return plain(a) == plain(b)
}
