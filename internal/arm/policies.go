package arm

import (
	"net/http"
	"slices"
	"strings"

	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
)

// maxPolicies is how many access policies a vault may have.
// https://learn.microsoft.com/azure/key-vault/general/assign-access-policy
const maxPolicies = 1024

// The permissions of an access policy, as they are spelled in answers; stored
// in lower case.
var (
	secretPermissions      = words("all get list set delete backup restore recover purge")
	keyPermissions         = words("all encrypt decrypt wrapKey unwrapKey sign verify get list create update import delete backup restore recover purge release rotate getrotationpolicy setrotationpolicy")
	certificatePermissions = words("all get list delete create import update managecontacts getissuers listissuers setissuers deleteissuers manageissuers recover purge backup restore")
	storagePermissions     = words("all get list delete set update regeneratekey recover purge backup restore setsas listsas getsas deletesas")
)

// words makes a table from lower case to the proper spelling.
func words(s string) map[string]string {
	table := map[string]string{}
	for w := range strings.FieldsSeq(s) {
		table[strings.ToLower(w)] = w
	}
	return table
}

type policyInput struct {
	TenantID      string      `json:"tenantId"`
	ObjectID      string      `json:"objectId"`
	ApplicationID string      `json:"applicationId"`
	Permissions   permissions `json:"permissions"`
}

type policyOutput struct {
	TenantID      string      `json:"tenantId"`
	ObjectID      string      `json:"objectId"`
	ApplicationID string      `json:"applicationId,omitempty"`
	Permissions   permissions `json:"permissions"`
}

type permissions struct {
	Keys         []string `json:"keys"`
	Secrets      []string `json:"secrets"`
	Certificates []string `json:"certificates"`
	Storage      []string `json:"storage"`
}

func (c *call) readPolicies(in []policyInput) ([]model.AccessPolicy, error) {
	out := make([]model.AccessPolicy, 0, len(in))
	for i, p := range in {
		switch {
		case !strings.EqualFold(p.TenantID, c.s.tenantID):
			return nil, fail(badRequest, "accessPolicies[%d].tenantId must be '%s'.", i, c.s.tenantID)
		case !model.ValidUUID(p.ObjectID):
			return nil, fail(badRequest, "accessPolicies[%d].objectId must be a GUID: the object id of a user, group or service principal.", i)
		case p.ApplicationID != "" && !model.ValidUUID(p.ApplicationID):
			return nil, fail(badRequest, "accessPolicies[%d].applicationId must be a GUID.", i)
		}
		policy := model.AccessPolicy{TenantID: c.s.tenantID, ObjectID: strings.ToLower(p.ObjectID), ApplicationID: strings.ToLower(p.ApplicationID)}
		for _, list := range []struct {
			to    *[]string
			from  []string
			known map[string]string
			name  string
		}{
			{&policy.Secrets, p.Permissions.Secrets, secretPermissions, "secrets"},
			{&policy.Keys, p.Permissions.Keys, keyPermissions, "keys"},
			{&policy.Certificates, p.Permissions.Certificates, certificatePermissions, "certificates"},
			{&policy.Storage, p.Permissions.Storage, storagePermissions, "storage"},
		} {
			for _, word := range list.from {
				lower := strings.ToLower(word)
				if _, ok := list.known[lower]; !ok {
					return nil, fail(badRequest, "accessPolicies[%d].permissions.%s has an unknown permission '%.40s'.", i, list.name, word)
				}
				*list.to = union(*list.to, []string{lower})
			}
		}
		out = append(out, policy)
	}
	return out, nil
}

func showPolicies(in []model.AccessPolicy) []policyOutput {
	out := make([]policyOutput, 0, len(in))
	for _, p := range in {
		out = append(out, policyOutput{
			TenantID: p.TenantID, ObjectID: p.ObjectID, ApplicationID: p.ApplicationID,
			Permissions: permissions{
				Keys: spelled(p.Keys, keyPermissions), Secrets: spelled(p.Secrets, secretPermissions),
				Certificates: spelled(p.Certificates, certificatePermissions), Storage: spelled(p.Storage, storagePermissions),
			},
		})
	}
	return out
}

func spelled(in []string, table map[string]string) []string {
	out := make([]string, 0, len(in))
	for _, w := range in {
		if s, ok := table[w]; ok {
			w = s
		}
		out = append(out, w)
	}
	return out
}

func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, w := range b {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(w string) bool { return slices.Contains(b, w) })
}

func samePrincipal(a, b *model.AccessPolicy) bool {
	return a.ObjectID == b.ObjectID && a.ApplicationID == b.ApplicationID
}

// mergePolicies adds permissions; each principal has one policy. It changes
// neither argument.
func mergePolicies(to, add []model.AccessPolicy) []model.AccessPolicy {
	out := slices.Clone(to)
	at := map[[2]string]int{}
	for i := range out {
		at[[2]string{out[i].ObjectID, out[i].ApplicationID}] = i
	}
	for _, p := range add {
		key := [2]string{p.ObjectID, p.ApplicationID}
		i, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, p)
			continue
		}
		q := &out[i]
		q.Secrets, q.Keys = union(q.Secrets, p.Secrets), union(q.Keys, p.Keys)
		q.Certificates, q.Storage = union(q.Certificates, p.Certificates), union(q.Storage, p.Storage)
	}
	return out
}

// replacePolicies sets the policies of the principals that are named; the others stay.
func replacePolicies(to, with []model.AccessPolicy) []model.AccessPolicy {
	named := func(p model.AccessPolicy) bool {
		return slices.ContainsFunc(with, func(w model.AccessPolicy) bool { return samePrincipal(&w, &p) })
	}
	return mergePolicies(slices.DeleteFunc(slices.Clone(to), named), with)
}

// removePolicies takes permissions away, and a policy that has none left.
func removePolicies(from, take []model.AccessPolicy) []model.AccessPolicy {
	var out []model.AccessPolicy
	for _, p := range from {
		for i := range take {
			if t := &take[i]; samePrincipal(&p, t) {
				p.Secrets, p.Keys = without(p.Secrets, t.Secrets), without(p.Keys, t.Keys)
				p.Certificates, p.Storage = without(p.Certificates, t.Certificates), without(p.Storage, t.Storage)
			}
		}
		if len(p.Secrets)+len(p.Keys)+len(p.Certificates)+len(p.Storage) > 0 {
			out = append(out, p)
		}
	}
	return out
}

func tooManyPolicies() error {
	return fail(badRequest, "A vault may have at most %d access policies.", maxPolicies)
}

// putPolicies is PUT of …/accessPolicies/{add, replace or remove}.
// https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/update-access-policy
func (c *call) putPolicies() error {
	change := map[string]func(to, with []model.AccessPolicy) []model.AccessPolicy{
		"add": mergePolicies, "replace": replacePolicies, "remove": removePolicies,
	}[strings.ToLower(c.id.Name())]
	if change == nil {
		return fail(invalidResourceName, "The operation must be add, replace or remove.")
	}
	var in struct {
		Properties struct {
			Policies *[]policyInput `json:"accessPolicies"`
		} `json:"properties"`
	}
	if err := httpx.ReadJSON(c.r, &in); err != nil {
		return err
	}
	if in.Properties.Policies == nil {
		return fail(badRequest, "The property 'accessPolicies' is required.")
	}
	policies, err := c.readPolicies(*in.Properties.Policies)
	if err != nil {
		return err
	}

	old, ok := c.holder.Value.(*model.Vault)
	if !ok {
		return c.notFound(c.id.Parent())
	}
	if err := c.precondition(c.holder); err != nil {
		return err
	}
	v := *old
	v.Policies = change(old.Policies, policies)
	if len(v.Policies) > maxPolicies {
		return tooManyPolicies()
	}
	v.System.ModifiedAt, v.System.ModifiedBy, v.System.ModifiedByType = c.s.now().UTC(), c.caller.ObjectID, callerKind(&c.caller)
	if _, err := c.s.store.Put(c.r.Context(), &v, c.holder.Rev); err != nil {
		return err
	}
	return httpx.WriteJSON(c.w, http.StatusOK, &resource{
		ID: v.ID + "/accessPolicies/", Name: strings.ToLower(c.id.Name()), Type: c.row.typ, Location: v.Location,
		Properties: map[string]any{"accessPolicies": showPolicies(v.Policies)},
	})
}
