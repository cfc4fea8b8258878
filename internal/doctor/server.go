package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/client"
	"github.com/lanyard-io/lanyard/internal/kube"
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
func Server(ctx context.Context, c *client.Client) *Report {
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
	if err := c.ARM(ctx, http.MethodGet, "/subscriptions/"+c.Subscription, "2022-12-01", nil, nil); err != nil {
		w.problem("management", "choose another --subscription", "%v", err)
		return &w.report
	}
	w.ok("management", "%s, subscription %s", c.ManagementURL(), c.Subscription)
	w.checkClusters(ctx)
	return &w.report
}

// clusterState is what of an attached cluster can be wrong.
type clusterState struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	State struct {
		Provisioning string `json:"provisioningState"`
		OIDC         struct {
			Enabled bool   `json:"enabled"`
			URL     string `json:"issuerURL"`
		} `json:"oidcIssuerProfile"`
		Security struct {
			WorkloadIdentity struct {
				Enabled bool `json:"enabled"`
			} `json:"workloadIdentity"`
		} `json:"securityProfile"`
		Attachment struct {
			KeysError string `json:"keysError"`
			Attention string `json:"attention"`
		} `json:"attachment"`
	} `json:"properties"`
}

func (w *walk) checkClusters(ctx context.Context) {
	if w.Server.Azure {
		w.skip("clusters", "Azure looks after its own")
		return
	}
	all, err := list[clusterState](ctx, w.Server, "/subscriptions/"+w.Server.Subscription+"/providers/Microsoft.ContainerService/managedClusters", clustersVersion)
	if err != nil {
		w.unasked("clusters", err)
		return
	}
	if len(all) == 0 {
		w.skip("clusters", "none is attached")
	}
	for _, k := range all {
		name := "cluster " + k.Name
		switch a := k.State.Attachment; {
		case a.KeysError != "":
			w.problem(name, attachAgain(k.Name, k.ID), "%s", a.Attention)
		case a.Attention != "":
			w.warn(name, attachAgain(k.Name, k.ID), "%s", a.Attention)
		case k.State.Provisioning == "Failed":
			w.problem(name, "lanyard cluster show "+k.Name+" -g "+groupOf(k.ID)+"; then attach it anew", "its last change failed")
		case !k.State.OIDC.Enabled:
			w.warn(name, "az aks update -g "+groupOf(k.ID)+" -n "+k.Name+" --enable-oidc-issuer", "its tokens are not accepted yet")
		case !k.State.Security.WorkloadIdentity.Enabled:
			w.warn(name, "az aks update -g "+groupOf(k.ID)+" -n "+k.Name+" --enable-workload-identity", "issuer %s; it has no webhook of this server's", k.State.OIDC.URL)
		default:
			w.ok(name, "issuer %s, with the webhook", k.State.OIDC.URL)
		}
	}
}
