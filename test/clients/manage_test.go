package clients_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-io/lanyard/test/clients/kubeapi"
)

// TestManagement lets the management SDKs make, read, list, change and delete
// each type, signed in as the admin. In names mode they are not told where the
// server is: the public cloud is what they know by themselves.
func TestManagement(t *testing.T) {
	t.Parallel()
	programs := []client{goClient(t), pythonClient(t, "manage.py"), javascriptClient(t, "manage.mjs")}
	for _, m := range modes() {
		if m.name == "adfs" {
			continue // changes how programs sign in, and nothing of management
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, m.flags...)
			s.start(t)
			env := append(s.adminEnvironment(t), "CLUSTERS="+strings.Join(s.attachClusters(t), ","))
			for _, c := range programs {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					if c.missing != "" {
						cannotRun(t, c.missing)
					}
					home := t.TempDir()
					out, err := c.run(t, append(slices.Clone(env), "HOME="+home, "TMPDIR="+home), "secret", "manage")
					if steps := strings.Count(out, "ok "); err != nil || steps < 20 {
						t.Errorf("%d steps, %v\n%s", steps, err, out)
					} else {
						t.Logf("%d steps", steps)
					}
				})
			}
		})
	}
}

// adminEnvironment is what the management SDKs are told.
func (s *server) adminEnvironment(t *testing.T) []string {
	t.Helper()
	var admin struct{ ClientID, ClientSecret, SubscriptionID string }
	b, err := os.ReadFile(filepath.Join(s.dir, "admin.json"))
	if err == nil {
		err = json.Unmarshal(b, &admin)
	}
	if err != nil {
		t.Fatal(err)
	}
	env := append(s.clientEnvironment(t), "AZURE_CLIENT_ID="+admin.ClientID, "AZURE_CLIENT_SECRET="+admin.ClientSecret,
		"AZURE_SUBSCRIPTION_ID="+admin.SubscriptionID)
	for _, v := range env {
		if authority, ok := strings.CutPrefix(v, "AZURE_AUTHORITY_HOST=https://login."); ok && !slices.Contains(s.flags, "--azure-names") {
			env = append(env, "RESOURCE_MANAGER_URL=https://management."+strings.TrimSuffix(authority, "/"))
		}
	}
	return env
}

// attachClusters makes three managed clusters, in the group "lanyard".
func (s *server) attachClusters(t *testing.T) (names []string) {
	t.Helper()
	cluster, err := kubeapi.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	writeFile(t, file, cluster.Kubeconfig())
	for _, name := range []string{"first", "second", "third"} {
		s.lanyard(t, nil, "cluster", "attach", name, "--kubeconfig", file)
		names = append(names, name)
	}
	return names
}
