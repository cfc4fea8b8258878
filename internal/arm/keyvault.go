package arm

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/lanyard-io/lanyard/internal/access"
	"github.com/lanyard-io/lanyard/internal/httpx"
	"github.com/lanyard-io/lanyard/internal/model"
	"github.com/lanyard-io/lanyard/internal/store"
)

const vaultType = "Microsoft.KeyVault/vaults"

var vaultVersions = []string{"2026-05-15", "2026-02-01", "2024-11-01", "2023-07-01", "2023-02-01", "2022-07-01", "2019-09-01", "2015-06-01"}

// rolesByDefault is the first api-version in which a new vault uses roles
// unless it says otherwise.
// https://learn.microsoft.com/azure/key-vault/general/access-control-default
const rolesByDefault = "2026-02-01"

// keyVaultRows is Microsoft.KeyVault. Deleted vaults are in deletedvaults.go.
func (s *Server) keyVaultRows() []*row {
	rows := []*row{
		{
			name: "vault", typ: vaultType, versions: vaultVersions,
			in: inGroup, listed: inGroup | inSubscription, tracked: true, patch: true, created: http.StatusOK,
			checkName: checkVaultName, put: putVault, shape: shapeVault, remove: removeVault,
		},
		{
			name: "policies", typ: vaultType + "/accessPolicies", versions: vaultVersions, in: inGroup,
			verbs: map[string]verb{"PUT": {do: (*call).putPolicies}},
		},
		{
			name: "vaultname", typ: "Microsoft.KeyVault/checkNameAvailability", versions: vaultVersions, in: inSubscription,
			verbs: map[string]verb{"POST": {do: (*call).checkVaultAvailable, as: "Microsoft.KeyVault/checkNameAvailability/read"}},
		},
		{
			name: "hsmname", typ: "Microsoft.KeyVault/checkMhsmNameAvailability", versions: vaultVersions, in: inSubscription,
			verbs: map[string]verb{"POST": {do: (*call).checkHSMAvailable, as: "Microsoft.KeyVault/checkNameAvailability/read"}},
		},
	}
	if s.sealer != nil {
		rows = append(rows, vaultSecretRow())
	}
	for _, empty := range []string{"managedHSMs", "deletedManagedHSMs"} {
		rows = append(rows, &row{
			name: "hsm", typ: "Microsoft.KeyVault/" + empty, versions: vaultVersions, listed: inSubscription | inGroup,
			verbs: map[string]verb{"LIST": {do: (*call).listNothing}},
		})
	}
	return append(rows, deletedVaultRows()...)
}

func (c *call) listNothing() error {
	return httpx.WriteJSON(c.w, http.StatusOK, listBody{Value: []any{}})
}

func checkVaultName(name string) error {
	if !model.ValidVaultName(name) {
		return fail(vaultNameInvalid, "The vault name '%s' is invalid. A vault's name must have 3 to 24 letters, digits and single dashes, "+
			"begin with a letter and end with a letter or digit.", name)
	}
	return nil
}

// vaultInput is the properties of a vault in a request. Members that only the server
// sets (vaultUri, provisioningState) are ignored: az sends back all that it read.
type vaultInput struct {
	TenantID   *string `json:"tenantId"`
	CreateMode *string `json:"createMode"`
	SKU        *struct {
		Family *string `json:"family"`
		Name   string  `json:"name"`
	} `json:"sku"`
	Policies           *[]policyInput `json:"accessPolicies"`
	Deployment         *bool          `json:"enabledForDeployment"`
	DiskEncryption     *bool          `json:"enabledForDiskEncryption"`
	TemplateDeployment *bool          `json:"enabledForTemplateDeployment"`
	SoftDelete         *bool          `json:"enableSoftDelete"`
	RetentionDays      *int           `json:"softDeleteRetentionInDays"`
	Roles              *bool          `json:"enableRbacAuthorization"`
	PurgeProtection    *bool          `json:"enablePurgeProtection"`
	PublicAccess       *string        `json:"publicNetworkAccess"`
	Network            *networkRules  `json:"networkAcls"`
}

func putVault(c *call, in *input) (*change, error) {
	var p vaultInput
	if err := decode(in.Properties, "properties", &p); err != nil {
		return nil, err
	}
	if p.recovers() && in.old == nil && !in.patch {
		return c.recoverVault(in)
	}
	v := &model.Vault{Resource: in.common, TenantID: c.s.tenantID, RetentionDays: maxRetention}
	old, exists := in.old.(*model.Vault)
	if exists {
		copied := *old
		copied.Resource = in.common
		v = &copied
		if err := p.mayChangeModel(c, old); err != nil {
			return nil, err
		}
	} else if p.Roles == nil {
		v.Roles = c.version >= rolesByDefault
	}
	if err := p.check(c, v, !exists, in.patch); err != nil {
		return nil, err
	}
	if err := p.apply(c, v); err != nil {
		return nil, err
	}
	if exists {
		return &change{object: v}, nil
	}
	if taken := vaultTaken(c.view, v.Name); taken != nil {
		return nil, taken
	}
	return &change{
		object: v,
		more:   []store.Op{{Value: &model.VaultName{Name: v.Name, VaultID: v.ID}, Rev: 0}},
	}, nil
}

// mayChangeModel asks about a vault that is to go from policies to roles or back.
// A caller who may only write the vault could otherwise give itself the secrets. A
// right to assign certain roles is not enough.
// https://learn.microsoft.com/azure/key-vault/general/rbac-guide#enable-azure-rbac-permissions-on-key-vault
func (p *vaultInput) mayChangeModel(c *call, v *model.Vault) error {
	if p.Roles == nil || *p.Roles == v.Roles {
		return nil
	}
	err := c.s.gate.Check(c.r.Context(), c.view, c.caller, access.ActionWriteAssignment, v.ID)
	if _, denied := errors.AsType[*access.Denied](err); denied {
		return fail(insufficientPermissions, "Caller is not allowed to change permission model. To change 'enableRbacAuthorization' needs "+
			"unrestricted permission to assign roles, which Owner and User Access Administrator have. "+
			"Details: oid=%s; action=%s; resource=%s; decision=NotAllowed;", c.caller.ObjectID, access.ActionWriteAssignment, v.ID)
	}
	return err
}

// vaultTaken is the refusal of a name that another vault has, live or deleted.
func vaultTaken(v *store.View, name string) error {
	if v.Get(model.VaultNameKey(name)) == nil && v.First(model.VaultIndex(name)) == nil {
		return nil
	}
	if v.Get(model.DeletedVaultKey(name)) != nil {
		return fail(vaultExists, "The vault name '%s' is already in use by a deleted vault. Vault names are globally unique: "+
			"recover or purge the deleted vault first, or choose another name.", name)
	}
	return fail(vaultExists, "The vault name '%s' is already in use. Vault names are globally unique, so it may be in use in another resource group.", name)
}

const (
	minRetention = 7
	maxRetention = 90 // days, and the default
)

// check refuses settings that a vault cannot have, or can no longer get.
func (p *vaultInput) check(c *call, v *model.Vault, create, patch bool) error {
	switch {
	case create && p.TenantID == nil:
		return fail(badRequest, "The property 'tenantId' is required.")
	case p.TenantID != nil && !strings.EqualFold(*p.TenantID, c.s.tenantID):
		return fail(badRequest, "The property 'tenantId' is '%s'. This subscription's tenant is '%s'.", *p.TenantID, c.s.tenantID)
	case create && p.SKU == nil:
		return fail(badRequest, "The property 'sku' is required.")
	case p.SKU != nil && !strings.EqualFold(p.SKU.Name, "standard") && !strings.EqualFold(p.SKU.Name, "premium"):
		return fail(badRequest, "The property 'sku.name' must be 'standard' or 'premium'.")
	case p.SKU != nil && p.SKU.Family != nil && !strings.EqualFold(*p.SKU.Family, "A"):
		return fail(badRequest, "The property 'sku.family' must be 'A'.")
	case p.CreateMode != nil && !p.recovers() && !strings.EqualFold(*p.CreateMode, "default"):
		return fail(badRequest, "The property 'createMode' must be 'default' or 'recover'.")
	case p.SoftDelete != nil && !*p.SoftDelete:
		return fail(badRequest, "The property 'enableSoftDelete' cannot be set to false: soft delete is on for every vault.")
	case p.PurgeProtection != nil && !*p.PurgeProtection && v.PurgeProtected:
		return fail(badRequest, "The property 'enablePurgeProtection' cannot be set to false. Enabling the purge protection for a vault is an irreversible action.")
	case p.RetentionDays != nil && (*p.RetentionDays < minRetention || *p.RetentionDays > maxRetention):
		return fail(badRequest, "The property 'softDeleteRetentionInDays' must be %d to %d.", minRetention, maxRetention)
	case p.RetentionDays != nil && !create && *p.RetentionDays != v.RetentionDays:
		return fail(badRequest, "The property 'softDeleteRetentionInDays' has been set already and it can't be modified.")
	}
	return nil
}

func (p *vaultInput) recovers() bool {
	return p.CreateMode != nil && strings.EqualFold(*p.CreateMode, "recover")
}

// apply changes the members that the request has; the others stay.
func (p *vaultInput) apply(c *call, v *model.Vault) error {
	if p.SKU != nil {
		v.SKU = strings.ToLower(p.SKU.Name)
	}
	if p.Policies != nil {
		policies, err := c.readPolicies(*p.Policies)
		if err != nil {
			return err
		}
		v.Policies = mergePolicies(nil, policies)
		if len(v.Policies) > maxPolicies {
			return tooManyPolicies()
		}
	}
	if p.RetentionDays != nil {
		v.RetentionDays = *p.RetentionDays
	}
	for _, set := range []struct {
		to   *bool
		from *bool
	}{
		{&v.Roles, p.Roles}, {&v.PurgeProtected, p.PurgeProtection}, {&v.Deployment, p.Deployment},
		{&v.DiskEncryption, p.DiskEncryption}, {&v.TemplateDeployment, p.TemplateDeployment},
	} {
		if set.from != nil {
			*set.to = *set.from
		}
	}
	return p.applyNetwork(v)
}

// removeVault moves the vault to where deleted ones wait. Its role assignments
// go, as in Azure; its name stays taken, and its secrets stay under it.
func removeVault(s *Server, _ *store.View, e *store.Entry) []store.Op {
	live, ok := e.Value.(*model.Vault)
	if !ok {
		return nil
	}
	now := s.now().UTC()
	deleted := *live
	deleted.Deleted = &model.Deletion{At: now, Purge: now.AddDate(0, 0, live.RetentionDays)}
	return []store.Op{
		{Key: e.Key, Rev: e.Rev},
		{Value: &deleted, Rev: 0},
		{Key: e.Key + "/", Rev: store.Any, Tree: true},
	}
}

// vaultOutput is the properties of a vault in an answer.
type vaultOutput struct {
	TenantID           string         `json:"tenantId"`
	SKU                vaultSKU       `json:"sku"`
	Policies           []policyOutput `json:"accessPolicies"`
	Deployment         bool           `json:"enabledForDeployment"`
	DiskEncryption     bool           `json:"enabledForDiskEncryption"`
	TemplateDeployment bool           `json:"enabledForTemplateDeployment"`
	SoftDelete         bool           `json:"enableSoftDelete"`
	RetentionDays      int            `json:"softDeleteRetentionInDays"`
	Roles              bool           `json:"enableRbacAuthorization"`
	PurgeProtection    bool           `json:"enablePurgeProtection,omitempty"`
	URI                string         `json:"vaultUri"`
	State              string         `json:"provisioningState"`
	PublicAccess       string         `json:"publicNetworkAccess"`
	Network            networkRules   `json:"networkAcls"`
}

type vaultSKU struct {
	Family string `json:"family"`
	Name   string `json:"name"`
}

func shapeVault(c *call, o model.Object, out *resource) {
	v, ok := o.(*model.Vault)
	if !ok {
		return
	}
	access := "Enabled"
	if v.Closed {
		access = "Disabled"
	}
	out.Properties = vaultOutput{
		TenantID: v.TenantID, SKU: vaultSKU{"A", v.SKU}, Policies: showPolicies(v.Policies),
		Deployment: v.Deployment, DiskEncryption: v.DiskEncryption, TemplateDeployment: v.TemplateDeployment,
		SoftDelete: true, RetentionDays: v.RetentionDays, Roles: v.Roles, PurgeProtection: v.PurgeProtected,
		URI: c.family.VaultURL(strings.ToLower(v.Name)) + "/", State: "Succeeded", PublicAccess: access,
		Network: showNetwork(v.Network),
	}
}

// available answers whether a name is free.
type available struct {
	Available bool   `json:"nameAvailable"`
	Reason    string `json:"reason,omitempty"`
	Message   string `json:"message,omitempty"`
}

func (c *call) checkVaultAvailable() error {
	return c.checkAvailable(vaultType, func(name string) bool { return vaultTaken(c.view, name) != nil })
}

// checkHSMAvailable answers az keyvault check-name, which asks about both kinds. There
// are no managed HSMs, so every good name is free.
func (c *call) checkHSMAvailable() error {
	return c.checkAvailable("Microsoft.KeyVault/managedHSMs", func(string) bool { return false })
}

func (c *call) checkAvailable(typ string, taken func(name string) bool) error {
	var in struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	if err := httpx.ReadJSON(c.r, &in); err != nil {
		return err
	}
	if in.Type != "" && !strings.EqualFold(in.Type, typ) {
		return fail(badRequest, "The type must be '%s'.", typ)
	}
	out := available{Available: true}
	switch {
	case !model.ValidVaultName(in.Name):
		out = available{Reason: accountNameInvalid.name, Message: "A vault's name must have 3 to 24 letters, digits and single dashes, begin with a letter and end with a letter or digit."}
	case taken(in.Name):
		out = available{Reason: "AlreadyExists", Message: fmt.Sprintf("The vault name '%s' is already in use.", in.Name)}
	}
	return httpx.WriteJSON(c.w, http.StatusOK, out)
}
