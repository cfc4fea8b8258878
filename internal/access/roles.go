package access

import (
	"slices"
	"strings"
)

// Role is a built-in role definition. It is published as it stands here.
// https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
type Role struct {
	ID             string // a GUID, lower case
	Name           string
	Description    string
	Actions        []string
	NotActions     []string
	DataActions    []string
	NotDataActions []string
	// Assignable, if not empty, are the ids of the only roles whose assignments
	// this role may write and delete.
	Assignable []string
}

// Roles gives all built-in roles, in a fixed order.
func Roles() []Role {
	all := slices.Clone(builtIn)
	for i := range all {
		all[i] = all[i].clone()
	}
	return all
}

// RoleByID finds a built-in role by its GUID, in any letter case.
func RoleByID(id string) (Role, bool) {
	return findRole(func(r *Role) bool { return strings.EqualFold(r.ID, id) })
}

// RoleByName finds a built-in role by its name, in any letter case.
func RoleByName(name string) (Role, bool) {
	return findRole(func(r *Role) bool { return strings.EqualFold(r.Name, name) })
}

func findRole(is func(*Role) bool) (Role, bool) {
	for i := range builtIn {
		if is(&builtIn[i]) {
			return builtIn[i].clone(), true
		}
	}
	return Role{}, false
}

func (r Role) clone() Role {
	for _, s := range []*[]string{&r.Actions, &r.NotActions, &r.DataActions, &r.NotDataActions, &r.Assignable} {
		*s = slices.Clone(*s)
	}
	return r
}

// Condition is Assignable in the language of role assignment conditions; empty
// without one.
// https://learn.microsoft.com/azure/role-based-access-control/conditions-format
func (r *Role) Condition() string {
	if len(r.Assignable) == 0 {
		return ""
	}
	ids := strings.Join(r.Assignable, ", ")
	only := func(action, source string) string {
		return "((!(ActionMatches{'" + action + "'})) OR (@" + source +
			"[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals{" + ids + "}))"
	}
	return only(ActionWriteAssignment, "Request") + " AND " + only(ActionDeleteAssignment, "Resource")
}

// Ids that one role's Assignable shares with another's ID.
const (
	vaultAdministrator   = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
	vaultReader          = "21090545-7ca7-4776-b22c-e363652d74d2"
	secretsOfficer       = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
	secretsUser          = "4633458b-17de-408a-b874-0445c86b69e6"
	cryptoOfficer        = "14b46e9e-c2b7-41b4-b07b-48a6ebf60603"
	cryptoUser           = "12338af0-0e69-4776-bea7-57ae8d297424"
	cryptoEncryptionUser = "e147488a-f6f5-4113-8e2d-b22465e65bf6"
	certificatesOfficer  = "a4417e6f-fecd-4de8-b567-7b0420556985"
)

// inVault are the control-plane actions of roles that work inside vaults.
var inVault = []string{
	"Microsoft.Authorization/*/read",
	"Microsoft.Insights/alertRules/*",
	"Microsoft.Resources/deployments/*",
	"Microsoft.Resources/subscriptions/resourceGroups/read",
	"Microsoft.Support/*",
	"Microsoft.KeyVault/checkNameAvailability/read",
	"Microsoft.KeyVault/deletedVaults/read",
	"Microsoft.KeyVault/locations/*/read",
	"Microsoft.KeyVault/vaults/*/read",
	"Microsoft.KeyVault/operations/read",
}

// builtIn is constant: it is handed out in copies only.
var builtIn = []Role{{
	ID: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", Name: "Owner",
	Description: "Manage all resources and who has access to them.",
	Actions:     []string{"*"},
}, {
	ID: "b24988ac-6180-42a0-ab88-20f7382dd24c", Name: "Contributor",
	Description: "Manage all resources, but not who has access to them.",
	Actions:     []string{"*"},
	NotActions: []string{
		"Microsoft.Authorization/*/Delete",
		"Microsoft.Authorization/*/Write",
		"Microsoft.Authorization/elevateAccess/Action",
		"Microsoft.Blueprint/blueprintAssignments/write",
		"Microsoft.Blueprint/blueprintAssignments/delete",
		"Microsoft.Compute/galleries/share/action",
		"Microsoft.Purview/consents/write",
		"Microsoft.Purview/consents/delete",
		"Microsoft.Resources/deploymentStacks/manageDenySetting/action",
		"Microsoft.Subscription/cancel/action",
		"Microsoft.Subscription/enable/action",
	},
}, {
	ID: "acdd72a7-3385-48ef-bd42-f606fba81ae7", Name: "Reader",
	Description: "See all resources, and change none.",
	Actions:     []string{"*/read"},
}, {
	ID: "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", Name: "User Access Administrator",
	Description: "Manage who has access to resources.",
	Actions:     []string{"*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"},
}, {
	ID: "f58310d9-a9f6-439a-9e8d-f62e7b41a168", Name: "Role Based Access Control Administrator",
	Description: "Manage who has access to resources, through role assignments only.",
	Actions:     []string{ActionWriteAssignment, ActionDeleteAssignment, "*/read", "Microsoft.Support/*"},
}, {
	ID: "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59", Name: "Managed Identity Contributor",
	Description: "Create, read, update and delete user-assigned identities.",
	Actions: []string{
		"Microsoft.ManagedIdentity/userAssignedIdentities/read",
		"Microsoft.ManagedIdentity/userAssignedIdentities/write",
		"Microsoft.ManagedIdentity/userAssignedIdentities/delete",
		"Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read",
		"Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
		"Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/delete",
		"Microsoft.ManagedIdentity/userAssignedIdentities/revokeTokens/action",
		"Microsoft.Authorization/*/read",
		"Microsoft.Insights/alertRules/*",
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Support/*",
	},
}, {
	ID: "f1a07417-d97a-45cb-824c-7a7467783830", Name: "Managed Identity Operator",
	Description: "Read user-assigned identities and give them to workloads.",
	Actions: []string{
		"Microsoft.ManagedIdentity/userAssignedIdentities/*/read",
		"Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
		"Microsoft.Authorization/*/read",
		"Microsoft.Insights/alertRules/*",
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Support/*",
	},
}, {
	ID: "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8", Name: "Azure Kubernetes Service Cluster Admin Role",
	Description: "Get the admin's kubeconfig of a cluster.",
	Actions: []string{
		"Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
		"Microsoft.ContainerService/managedClusters/accessProfiles/listCredential/action",
		"Microsoft.ContainerService/managedClusters/read",
		"Microsoft.ContainerService/managedClusters/runcommand/action",
	},
}, {
	ID: "4abbcc35-e782-43d8-92c5-2d3f1bd2253f", Name: "Azure Kubernetes Service Cluster User Role",
	Description: "Get the user's kubeconfig of a cluster.",
	Actions: []string{
		"Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
		"Microsoft.ContainerService/managedClusters/read",
	},
}, {
	ID: "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8", Name: "Azure Kubernetes Service Contributor Role",
	Description: "Read and change clusters.",
	Actions: []string{
		"Microsoft.ContainerService/locations/*",
		"Microsoft.ContainerService/managedClusters/*",
		"Microsoft.Insights/alertRules/*",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Resources/subscriptions/resourceGroups/read",
	},
}, {
	ID: "f25e0fa2-a7c8-4377-a976-54943a77a395", Name: "Key Vault Contributor",
	Description: "Manage key vaults, but not reach what they hold through roles.",
	Actions: []string{
		"Microsoft.Authorization/*/read",
		"Microsoft.Insights/alertRules/*",
		"Microsoft.KeyVault/*",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.Support/*",
	},
	NotActions: []string{
		"Microsoft.KeyVault/locations/deletedVaults/purge/action",
		"Microsoft.KeyVault/hsmPools/*",
		"Microsoft.KeyVault/managedHsms/*",
	},
}, {
	ID: vaultAdministrator, Name: "Key Vault Administrator",
	Description: "Do everything with the contents of a key vault that uses roles.",
	Actions:     inVault,
	DataActions: []string{"Microsoft.KeyVault/vaults/*"},
}, {
	ID: vaultReader, Name: "Key Vault Reader",
	Description: "See a key vault that uses roles and the attributes of what it holds, but no values.",
	Actions:     inVault,
	DataActions: []string{"Microsoft.KeyVault/vaults/*/read", ActionReadMetadata},
}, {
	ID: secretsOfficer, Name: "Key Vault Secrets Officer",
	Description: "Do everything with the secrets of a key vault that uses roles.",
	Actions:     inVault,
	DataActions: []string{"Microsoft.KeyVault/vaults/secrets/*"},
}, {
	ID: secretsUser, Name: "Key Vault Secrets User",
	Description: "Read the secrets of a key vault that uses roles.",
	DataActions: []string{ActionGetSecret, ActionReadMetadata},
}, {
	ID: cryptoOfficer, Name: "Key Vault Crypto Officer",
	Description: "Do everything with the keys of a key vault that uses roles.",
	Actions:     inVault,
	DataActions: []string{"Microsoft.KeyVault/vaults/keys/*", "Microsoft.KeyVault/vaults/keyrotationpolicies/*"},
}, {
	ID: cryptoUser, Name: "Key Vault Crypto User",
	Description: "Use the keys of a key vault that uses roles.",
	DataActions: []string{
		"Microsoft.KeyVault/vaults/keys/read",
		"Microsoft.KeyVault/vaults/keys/update/action",
		"Microsoft.KeyVault/vaults/keys/backup/action",
		"Microsoft.KeyVault/vaults/keys/encrypt/action",
		"Microsoft.KeyVault/vaults/keys/decrypt/action",
		"Microsoft.KeyVault/vaults/keys/wrap/action",
		"Microsoft.KeyVault/vaults/keys/unwrap/action",
		"Microsoft.KeyVault/vaults/keys/sign/action",
		"Microsoft.KeyVault/vaults/keys/verify/action",
	},
}, {
	ID: cryptoEncryptionUser, Name: "Key Vault Crypto Service Encryption User",
	Description: "Read keys' attributes and wrap and unwrap with them, in a key vault that uses roles.",
	Actions: []string{
		"Microsoft.EventGrid/eventSubscriptions/write",
		"Microsoft.EventGrid/eventSubscriptions/read",
		"Microsoft.EventGrid/eventSubscriptions/delete",
	},
	DataActions: []string{
		"Microsoft.KeyVault/vaults/keys/read",
		"Microsoft.KeyVault/vaults/keys/wrap/action",
		"Microsoft.KeyVault/vaults/keys/unwrap/action",
	},
}, {
	ID: certificatesOfficer, Name: "Key Vault Certificates Officer",
	Description: "Do everything with the certificates of a key vault that uses roles.",
	Actions:     inVault,
	DataActions: []string{
		"Microsoft.KeyVault/vaults/certificatecas/*",
		"Microsoft.KeyVault/vaults/certificates/*",
		"Microsoft.KeyVault/vaults/certificatecontacts/write",
	},
}, {
	ID: "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", Name: "Key Vault Certificate User",
	Description: "Read certificates with their private keys from a key vault that uses roles.",
	DataActions: []string{
		"Microsoft.KeyVault/vaults/certificates/read",
		ActionGetSecret,
		ActionReadMetadata,
		"Microsoft.KeyVault/vaults/keys/read",
	},
}, {
	ID: "a68e7c17-0ab2-4c09-9a58-125dae29748c", Name: "Key Vault Purge Operator",
	Description: "Remove deleted key vaults for good.",
	Actions: []string{
		"Microsoft.Authorization/*/read",
		"Microsoft.Insights/alertRules/*",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.KeyVault/deletedVaults/read",
		"Microsoft.KeyVault/locations/deletedVaults/read",
		"Microsoft.KeyVault/locations/deletedVaults/purge/action",
		"Microsoft.KeyVault/locations/operationResults/read",
	},
}, {
	ID: "8b54135c-b56d-4d72-a534-26097cfdc8d8", Name: "Key Vault Data Access Administrator",
	Description: "Manage who has the roles that work inside key vaults.",
	Actions: []string{
		ActionWriteAssignment,
		ActionDeleteAssignment,
		"Microsoft.Authorization/*/read",
		"Microsoft.Resources/deployments/*",
		"Microsoft.Resources/subscriptions/resourceGroups/read",
		"Microsoft.Resources/subscriptions/read",
		"Microsoft.Management/managementGroups/read",
		"Microsoft.Support/*",
		"Microsoft.KeyVault/vaults/*/read",
	},
	Assignable: []string{
		vaultAdministrator, certificatesOfficer, cryptoOfficer, cryptoEncryptionUser,
		cryptoUser, vaultReader, secretsOfficer, secretsUser,
	},
}}
