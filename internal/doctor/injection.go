package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/wi"
)

// injectedNames are the variables that workloads read.
var injectedNames = []string{wi.ClientIDEnv, wi.TenantIDEnv, wi.TokenFileEnv, wi.AuthorityEnv}

func (w *walk) checkInjection(context.Context) {
	again := fmt.Sprintf("kubectl delete pod %s -n %s, and create it again", w.pod.Metadata.Name, w.report.Namespace)
	checked := 0
	for _, c := range slices.Concat(w.pod.Spec.Containers, w.pod.Spec.Init) {
		if w.pod.skipped(c.Name) || strings.HasPrefix(c.Name, "azwi-proxy") {
			continue
		}
		checked++
		if fix, fault := w.containerFault(&c, again); fault != "" {
			w.problem(linkInjection, fix, "container %s %s", c.Name, fault)
			return
		}
	}
	if checked == 0 {
		w.problem(linkInjection, "take containers out of the annotation "+wi.SkipAnnotation+", and re-create the pod", "every container is skipped by annotation")
		return
	}
	w.ok(linkInjection, "%d containers have the variables and the token's volume", checked)
}

// containerFault compares a container with what one that is created now would have.
func (w *walk) containerFault(c *container, again string) (fix, fault string) {
	for _, name := range injectedNames {
		want := ""
		switch {
		case w.would != nil:
			want, _ = w.would.Spec.Containers[0].value(name)
		case name == wi.ClientIDEnv:
			want = w.clientID
		case name == wi.TenantIDEnv:
			want = w.account.Metadata.Annotations[wi.TenantIDAnnotation]
		}
		got, set := c.value(name)
		switch {
		case !set && (want != "" || w.would == nil):
			return again, fmt.Sprintf("lacks %s: the pod is older than the webhook, or than what it was told", name)
		case set && want != "" && got != want && got != "":
			return again + "; if the pod's own template sets it, take it out there", fmt.Sprintf("has %s=%s, and a new pod would have %s", name, got, want)
		}
	}
	file, _ := c.value(wi.TokenFileEnv)
	for _, m := range c.Mounts {
		if strings.HasPrefix(file, strings.TrimSuffix(m.Path, "/")+"/") && w.tokenVolume(m.Name) {
			return "", ""
		}
	}
	return again, fmt.Sprintf("mounts no service account token at %s", file)
}

func (w *walk) tokenVolume(name string) bool {
	for _, v := range w.pod.Spec.Volumes {
		if v.Name != name || v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Token != nil {
				return true
			}
		}
	}
	return false
}
