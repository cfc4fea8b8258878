package arm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const clusterType = "Microsoft.ContainerService/managedClusters"

var clusterVersions = []string{"2026-07-01", "2026-05-01", "2025-02-01", "2024-02-01", "2022-11-01", "2020-03-01"}

// containerServiceRows is Microsoft.ContainerService: clusters that exist
// already and were attached. None is made or changed in its own machines here.
func (s *Server) containerServiceRows() []*row {
	if s.clusters == nil {
		return nil
	}
	return []*row{clusterRow(), poolRow(), bindingRow(), {
		name: "clusteroperation", typ: "Microsoft.ContainerService/locations/operations", versions: clusterVersions,
		in: inSubscription, verbs: map[string]verb{"GET": {do: (*call).getClusterOperation, open: true}},
	}}
}

func clusterRow() *row {
	return &row{
		name: "cluster", typ: clusterType, versions: clusterVersions,
		in: inGroup, listed: inGroup | inSubscription, tracked: true, patch: true, showETag: true,
		checkName: checkClusterName, put: putCluster, shape: shapeCluster, remove: removeCluster,
		verbs: map[string]verb{"DELETE": {do: (*call).deleteCluster}},
		actions: map[string]verb{
			"listclusteradmincredential": {do: func(c *call) error { return c.clusterCredential("clusterAdmin") }},
			"listclusterusercredential":  {do: func(c *call) error { return c.clusterCredential("clusterUser") }},
		},
	}
}

// checkClusterName: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftcontainerservice
func checkClusterName(name string) error {
	alnum := func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }
	if len(name) > 63 || !alnum(name[0]) || !alnum(name[len(name)-1]) ||
		strings.ContainsFunc(name, func(r rune) bool { return r > '~' || !alnum(byte(r)) && r != '-' && r != '_' }) {
		return fail(invalidResourceName, "The cluster name '%s' is invalid: it must have 1 to 63 letters, digits, '-' and '_', "+
			"and begin and end with a letter or digit.", name)
	}
	return nil
}

// clusterInput is what of a request's properties can change a cluster.
type clusterInput struct {
	// Attachment is ours: with a kubeconfig, the request attaches the cluster, or
	// gives it new credentials.
	Attachment *struct {
		Kubeconfig []byte        `json:"kubeconfig"` // base64 of JSON
		Webhook    *webhookInput `json:"webhook"`
		TakeOver   *bool         `json:"takeOverIssuer"`
	} `json:"attachment"`
	OIDC *struct {
		Enabled *bool `json:"enabled"`
	} `json:"oidcIssuerProfile"`
	Security *struct {
		WorkloadIdentity *struct {
			Enabled *bool `json:"enabled"`
		} `json:"workloadIdentity"`
	} `json:"securityProfile"`
}

// putCluster attaches a cluster, or changes one. Clients send back all that they
// read but the read-only part, so what is missing stays, and what differs
// without being ours to change is refused.
func putCluster(c *call, in *input) (*change, error) {
	var p clusterInput
	if err := decode(in.Properties, "properties", &p); err != nil {
		return nil, err
	}
	old, exists := in.old.(*model.Cluster)
	next := &model.Cluster{Resource: in.common}
	if exists {
		*next = *old
		next.Resource = in.common
	}
	ch := &change{object: next}
	attach := p.Attachment != nil && len(p.Attachment.Kubeconfig) > 0
	if !exists && !attach {
		return nil, fail(badRequest, "The cluster '%s' does not exist, and clusters cannot be created here: "+
			"attach one that exists with 'lanyard cluster attach %s -g %s --kubeconfig FILE'.", c.id.Name(), c.id.Name(), c.id.Group())
	}
	keys := []byte(nil)
	if attach {
		var err error
		if keys, err = c.attachCluster(next, old, p.Attachment.Kubeconfig); err != nil {
			return nil, err
		}
	}
	if p.Attachment != nil {
		if err := c.setTakeOver(next, p.Attachment.TakeOver, attach); err != nil {
			return nil, err
		}
		if err := c.setWebhook(next, p.Attachment.Webhook); err != nil {
			return nil, err
		}
	}
	if err := c.switchCluster(ch, next, &p, keys); err != nil {
		return nil, err
	}
	if err := c.checkClusterRest(next, in); err != nil {
		return nil, err
	}
	return ch, c.askForWork(ch, next)
}

// switchCluster turns on what the request asks for. keys are the issuer's, when
// they were read already.
func (c *call) switchCluster(ch *change, next *model.Cluster, p *clusterInput, keys []byte) error {
	publish := next.Published
	if p.OIDC != nil && p.OIDC.Enabled != nil {
		if publish && !*p.OIDC.Enabled {
			return fail(badRequest, "The OIDC issuer of a cluster cannot be disabled once it is enabled. Detach the cluster instead.")
		}
		publish = *p.OIDC.Enabled
	}
	if p.Security != nil && p.Security.WorkloadIdentity != nil && p.Security.WorkloadIdentity.Enabled != nil {
		next.WorkloadIdentity = *p.Security.WorkloadIdentity.Enabled
	}
	if next.WorkloadIdentity && !publish {
		return fail(badRequest, "Workload identity needs the OIDC issuer: enable oidcIssuerProfile as well.")
	}
	if !publish || next.Published && keys == nil {
		return nil
	}
	return c.publishIssuer(ch, next, keys)
}

// checkClusterRest refuses a request that wants anything else changed: a cluster
// that says it has a network policy and has none would be worse than a refusal.
func (c *call) checkClusterRest(next *model.Cluster, in *input) error {
	var out resource
	shapeCluster(c, next, &out)
	for _, part := range []struct {
		name string
		want json.RawMessage
		have any
	}{{"sku", in.SKU, out.SKU}, {"identity", in.Identity, out.Identity}, {"properties", in.Properties, out.Properties}} {
		if len(part.want) == 0 {
			continue
		}
		have, err := json.Marshal(part.have)
		if err != nil {
			return err
		}
		var w, h any
		if err := json.Unmarshal(part.want, &w); err != nil {
			return err
		}
		if err := json.Unmarshal(have, &h); err != nil {
			return err
		}
		if path := differs(w, h, part.name); path != "" {
			return fail(badRequest, "'%s' cannot be set here: the cluster was attached, and its machines are managed where they were made. "+
				"Only tags, oidcIssuerProfile and securityProfile.workloadIdentity can be changed.", path)
		}
	}
	return nil
}

// differs finds what in want is not so in have; "" when all is. What is empty or
// off in want and missing in have makes no difference.
func differs(want, have any, path string) string {
	switch w := want.(type) {
	case nil:
		return ""
	case map[string]any:
		h, ok := have.(map[string]any)
		if have != nil && !ok {
			return path
		}
		for name, member := range w {
			if path == "properties" && (name == "attachment" || name == "provisioningState") {
				continue // ours, see clusterInput; and read-only, different by the time it is sent back
			}
			if at := differs(member, h[name], path+"."+name); at != "" {
				return at
			}
		}
		return ""
	case []any:
		h, ok := have.([]any)
		if len(w) != len(h) || have != nil && !ok {
			return path
		}
		for i := range w {
			if at := differs(w[i], h[i], fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
		return ""
	case bool:
		if h, _ := have.(bool); h != w {
			return path
		}
		return ""
	case string:
		if h, _ := have.(string); !strings.EqualFold(h, w) {
			return path
		}
		return ""
	}
	if want != have {
		return path
	}
	return ""
}

// deleteCluster answers 202 with a result that is there already: az refuses a 200.
func (c *call) deleteCluster() error {
	e := c.view.Get(c.id.Key())
	if err := c.precondition(e); err != nil {
		return err
	}
	if e == nil {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if cluster, ok := e.Value.(*model.Cluster); ok {
		if err := c.s.clusters.Detach(c.r.Context(), cluster, parameter(c.query, "force") == "true"); err != nil {
			return err
		}
	}
	if err := c.s.commitAll(c.r.Context(), c.row.removal(c.s, c.view, e)); err != nil {
		return err
	}
	return c.accepted(c.s.sub + "/operationresults")
}

// removeCluster detaches: the cluster goes on, and its tokens stop being
// accepted, because its issuer's keys go too.
func removeCluster(_ *Server, v *store.View, e *store.Entry) []store.Op {
	ops := []store.Op{
		{Key: e.Key, Rev: e.Rev}, {Key: e.Key + "/", Rev: store.Any, Tree: true},
		{Key: model.ClusterStateKey(e.Key), Rev: store.Any},
	}
	if cluster, ok := e.Value.(*model.Cluster); ok && cluster.Published {
		// First: keys that are a cluster's are never there without the cluster, which
		// says whom they speak for.
		ops = slices.Insert(ops, 0, store.Op{Key: model.IssuerKey(cluster.Issuer), Rev: store.Any})
	}
	return ops
}

// clusterCredential is the kubeconfig that was attached, under the names that az
// gives to contexts and users. Both credentials are the same one, as they are
// equally strong in a managed cluster without directory integration.
func (c *call) clusterCredential(user string) error {
	cluster, _, ok := store.Get[*model.Cluster](c.view, c.op.scope.Key())
	if !ok {
		return c.notFound(c.op.scope)
	}
	b, err := c.s.clusters.Kubeconfig(cluster, user+"_"+c.groupOf(cluster)+"_"+cluster.Name)
	if err != nil {
		return err
	}
	type credential struct {
		Name  string `json:"name"`
		Value []byte `json:"value"`
	}
	return httpx.WriteJSON(c.w, http.StatusOK, struct {
		Kubeconfigs []credential `json:"kubeconfigs"`
	}{[]credential{{user, b}}})
}

// noPrincipal stands where clients want a principal's id and none exists.
const noPrincipal = "00000000-0000-0000-0000-000000000000"

// clusterOutput is a cluster's properties in an answer. az, Terraform and the
// SDKs stop with an error when one of these is missing.
type clusterOutput struct {
	State           string            `json:"provisioningState"`
	Power           map[string]string `json:"powerState"`
	Version         string            `json:"kubernetesVersion"`
	CurrentVersion  string            `json:"currentKubernetesVersion"`
	DNSPrefix       string            `json:"dnsPrefix"`
	FQDN            string            `json:"fqdn"`
	Pools           []clusterPool     `json:"agentPoolProfiles"`
	Principal       map[string]string `json:"servicePrincipalProfile"`
	Identities      map[string]any    `json:"identityProfile"`
	NodeGroup       string            `json:"nodeResourceGroup"`
	RBAC            bool              `json:"enableRBAC"`
	SupportPlan     string            `json:"supportPlan"`
	Network         map[string]any    `json:"networkProfile"`
	MaxPools        int               `json:"maxAgentPools"`
	NoLocalAccounts bool              `json:"disableLocalAccounts"`
	OIDC            clusterIssuer     `json:"oidcIssuerProfile"`
	Security        map[string]any    `json:"securityProfile"`
	Attachment      clusterAttachment `json:"attachment"`
}

type clusterIssuer struct {
	Enabled bool   `json:"enabled"`
	URL     string `json:"issuerURL,omitempty"`
}

// clusterAttachment is ours: what was read when the cluster was attached.
type clusterAttachment struct {
	Server string `json:"server"`
	Issuer string `json:"issuer"`
	// KeysRead is when the issuer's keys were last really read.
	KeysRead string `json:"keysRead,omitempty"`
	// KeysError is why they cannot be read, and its tokens are refused.
	KeysError string `json:"keysError,omitempty"`
	// CredentialEnds is when the kubeconfig's credential does, if it says.
	CredentialEnds string `json:"credentialEnds,omitempty"`
	// Attention says in words what is wrong, or soon will be, and what to do.
	Attention string         `json:"attention,omitempty"`
	TakeOver  bool           `json:"takeOverIssuer,omitempty"`
	Webhook   clusterWebhook `json:"webhook"`
}

func shapeCluster(c *call, o model.Object, out *resource) {
	k, ok := o.(*model.Cluster)
	if !ok {
		return
	}
	running := map[string]string{"code": "Running"}
	state := c.clusterState(k.Key())
	nodeGroup := "MC_" + c.groupOf(k) + "_" + k.Name + "_" + k.Location
	kubelet := c.s.sub + "/resourceGroups/" + nodeGroup + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + k.Name + "-agentpool"
	p := clusterOutput{
		State: string(state.Status), Power: running, Version: k.Version, CurrentVersion: k.Version,
		DNSPrefix: k.Name, FQDN: hostOf(k.Server),
		Pools:      []clusterPool{poolOf(k)},
		Principal:  map[string]string{"clientId": "msi"},
		Identities: map[string]any{"kubeletidentity": map[string]string{"resourceId": kubelet, "clientId": noPrincipal, "objectId": noPrincipal}},
		NodeGroup:  nodeGroup, RBAC: true, SupportPlan: "KubernetesOfficial", MaxPools: 100,
		Network:    map[string]any{"networkPlugin": "none", "loadBalancerSku": "standard", "outboundType": "loadBalancer", "ipFamilies": []string{"IPv4"}},
		OIDC:       clusterIssuer{Enabled: k.Published},
		Security:   map[string]any{"workloadIdentity": map[string]bool{"enabled": k.WorkloadIdentity}},
		Attachment: clusterAttachment{Server: k.Server, Issuer: k.Issuer, TakeOver: k.TakesOver, Webhook: c.showWebhook(k, state)},
	}
	if k.Published {
		p.OIDC.URL = k.Issuer
	}
	if c.health(k, &p.Attachment) {
		p.State = string(model.ClusterFailed)
	}
	if c.unsettled {
		p.State = string(model.ClusterUpdating)
	}
	out.Type = "Microsoft.ContainerService/ManagedClusters" // the provider's own spelling in answers
	out.SKU = map[string]string{"name": "Base", "tier": "Free"}
	out.Identity = map[string]string{"type": "SystemAssigned", "principalId": noPrincipal, "tenantId": c.s.tenantID}
	out.Properties = p
}

func (c *call) groupOf(k *model.Cluster) string {
	rest := k.ID[len(c.s.sub)+len("/resourceGroups/"):]
	group, _, _ := strings.Cut(rest, "/")
	return group
}

func hostOf(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
