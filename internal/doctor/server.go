package doctor

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/kube"
	"github.com/lanyard-io/lanyard/internal/manage"
)

// PodNames are the pods of a namespace, for completion; none when it cannot be asked.
func PodNames(ctx context.Context, k *kube.Cluster, namespace string) []string {
	items, err := k.List(ctx, kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: namespace}, kube.ListOptions{})
	if err != nil {
		return nil
	}
	var all []string
	for _, item := range items {
		var p pod
		if json.Unmarshal(item, &p) == nil {
			all = append(all, p.Metadata.Name)
		}
	}
	slices.Sort(all)
	return all
}

// Server looks at a server and the clusters that are attached to it.
func Server(ctx context.Context, c *manage.Client) *Report {
	w := &walk{Config: Config{Server: c, HTTP: c.HTTP()}, report: Report{Links: []Link{}}}
	defer w.report.Finish()
	var d struct {
		Issuer string `json:"issuer"`
	}
	tenant := c.Tenant
	if tenant == "" {
		tenant = "organizations"
	}
	if err := w.fetch(ctx, c.LoginURL()+"/"+tenant+"/v2.0/.well-known/openid-configuration", &d); err != nil {
		w.problem("token-service", "is the server running? lanyard up", "%s does not answer: %v", c.LoginURL(), err)
		return &w.report
	}
	w.ok("token-service", "%s", c.LoginURL())
	if _, err := c.ManagementToken(ctx); err != nil {
		said, _, _ := strings.Cut(err.Error(), "\n")
		w.problem("sign-in", "sign in with other credentials: --credentials FILE, or az login for Azure", "%s", said)
		return &w.report
	}
	w.ok("sign-in", "the credentials are accepted")
	if err := c.CheckSubscription(ctx); err != nil {
		w.problem("management", "choose another --subscription", "%v", err)
		return &w.report
	}
	w.ok("management", "%s, subscription %s", c.ManagementURL(), c.Subscription)
	w.checkClusters(ctx)
	return &w.report
}

func (w *walk) checkClusters(ctx context.Context) {
	if w.Server.Azure {
		w.skip("clusters", "Azure looks after its own")
		return
	}
	all, err := w.Server.Clusters("").List(ctx)
	if err != nil {
		w.unasked("clusters", err)
		return
	}
	if len(all) == 0 {
		w.skip("clusters", "none is attached")
	}
	for _, k := range manage.Parts(all) {
		name := "cluster " + k.Name
		switch a := k.Properties.Attachment; {
		case a.KeysError != "":
			w.problem(name, attachAgain(k.Name, k.ID), "%s", a.Attention)
		case a.Attention != "":
			w.warn(name, attachAgain(k.Name, k.ID), "%s", a.Attention)
		case k.Properties.State == "Failed":
			w.problem(name, "lanyard cluster show "+k.Name+" -g "+groupOf(k.ID)+"; then attach it anew", "its last change failed")
		case !k.Properties.OIDC.Enabled:
			w.warn(name, "az aks update -g "+groupOf(k.ID)+" -n "+k.Name+" --enable-oidc-issuer", "its tokens are not accepted yet")
		case !k.Properties.Security.WorkloadIdentity.Enabled:
			w.warn(name, "az aks update -g "+groupOf(k.ID)+" -n "+k.Name+" --enable-workload-identity", "issuer %s; it has no webhook of this server's", k.Properties.OIDC.URL)
		default:
			w.ok(name, "issuer %s, with the webhook", k.Properties.OIDC.URL)
		}
	}
}
