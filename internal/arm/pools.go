package arm

import (
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/resid"
)

const poolType = clusterType + "/agentPools"

// poolRow is a cluster's node pools. There is one, and it stands for machines that
// are managed elsewhere.
func poolRow() *row {
	return &row{
		name: "pool", typ: poolType, versions: clusterVersions, in: inGroup, listed: inGroup,
		verbs: map[string]verb{"GET": {do: (*call).getPool}, "LIST": {do: (*call).listPools}},
	}
}

type clusterPool struct {
	Name    string            `json:"name,omitempty"` // in a cluster; a pool by itself has it beside its properties
	Count   int               `json:"count"`
	Size    string            `json:"vmSize"`
	OS      string            `json:"osType"`
	Type    string            `json:"type"`
	Mode    string            `json:"mode"`
	State   string            `json:"provisioningState"`
	Power   map[string]string `json:"powerState"`
	Version string            `json:"orchestratorVersion"`
}

const attachedPool = "attached"

func poolOf(k *model.Cluster) clusterPool {
	return clusterPool{
		Name: attachedPool, Size: "attached", OS: "Linux", Type: "VirtualMachineScaleSets", Mode: "System",
		State: "Succeeded", Power: map[string]string{"code": "Running"}, Version: k.Version,
	}
}

// pool is the cluster's pool as a resource of its own.
func (c *call) pool(parent resid.ID) (*resource, error) {
	k, ok := c.holder.Value.(*model.Cluster)
	if !ok {
		return nil, c.notFound(parent)
	}
	p := poolOf(k)
	p.Name = ""
	return &resource{ID: k.ID + "/agentPools/" + attachedPool, Name: attachedPool, Type: poolType, Properties: p}, nil
}

func (c *call) getPool() error {
	p, err := c.pool(c.id.Parent())
	if err != nil {
		return err
	}
	if !strings.EqualFold(c.id.Name(), attachedPool) {
		return c.notFound(c.id)
	}
	return httpx.WriteJSON(c.w, http.StatusOK, p)
}

func (c *call) listPools() error {
	p, err := c.pool(c.id.Parent())
	if err != nil {
		return err
	}
	return httpx.WriteJSON(c.w, http.StatusOK, listBody{Value: []any{p}})
}

// aboutMachines words the refusal of operations on a cluster's machines, which do not
// exist: node pools, upgrades, stop and start, maintenance. Other errors pass.
func (s *Server) aboutMachines(method string, id resid.ID, err error) error {
	typ, under := id.TypeKey(), strings.ToLower(clusterType)
	if s.table[under] == nil || typ != under && !strings.HasPrefix(typ, under+"/") || typ == under+"/identitybindings" {
		return err
	}
	cluster := id
	for cluster.TypeKey() != under || cluster.IsCollection() {
		if cluster = cluster.Parent(); cluster.IsRoot() {
			return err
		}
	}
	c := badRequest
	if method == http.MethodGet || method == http.MethodHead {
		c = invalidResourceType // a reader is told that there is none
	}
	return fail(c, "The machines of the cluster '%s' are not managed here: it was attached, so its nodes, versions, power and maintenance "+
		"are changed where it was made. Only tags, oidcIssuerProfile and securityProfile.workloadIdentity can be changed here.", cluster.Name())
}
