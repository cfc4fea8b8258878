package deploy_test

import (
	"os"
	"testing"

	"github.com/lanyard-io/lanyard/internal/names"
)

// The chart has a Service for every host of our own, and a headless one for every
// zone of things, whose endpoints the server keeps.
func TestEveryHostHasAService(t *testing.T) {
	manifests, err := os.ReadFile("testdata/lanyard.yaml")
	if err != nil {
		t.Fatal(err)
	}
	made := named(parse(t, manifests))
	headless := map[string]bool{}
	for _, r := range names.Table() {
		for _, host := range r.Own.Hosts {
			headless[host] = false
		}
	}
	n, err := names.New(names.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range n.Zones() {
		headless[zone.Label] = true
	}
	for name, want := range headless {
		service, ok := made["Service "+name]
		if !ok {
			t.Errorf("the chart has no Service %s", name)
			continue
		}
		if got := service["spec"].(object)["clusterIP"] == "None"; got != want {
			t.Errorf("Service %s: headless %v, want %v", name, got, want)
		}
	}
}
