# One workload: its identity, the service account of a cluster that may be it, and
# its secrets, in three vaults that let it in by the three ways that there are.

terraform {
  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "name" {
  type = string
}

variable "account" {
  description = "namespace and name of the service account, with a colon"
  type        = string
}

variable "password" {
  type      = string
  sensitive = true
}

variable "permissions" {
  description = "of the workload, for secrets"
  type        = list(string)
}

variable "addresses" {
  type = list(string)
}

variable "purpose" {
  type = string
}

data "azurerm_client_config" "current" {}

data "azurerm_subscription" "current" {}

data "azurerm_kubernetes_cluster" "dev" {
  name                = "dev"
  resource_group_name = "lanyard"
}

locals {
  tags = { purpose = var.purpose }
  all  = ["Get", "List", "Set", "Delete", "Recover", "Purge"]
}

resource "azurerm_resource_group" "workload" {
  name     = var.name
  location = "westeurope"
  tags     = local.tags
}

resource "azurerm_user_assigned_identity" "workload" {
  name                = var.name
  resource_group_name = azurerm_resource_group.workload.name
  location            = azurerm_resource_group.workload.location
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "cluster" {
  name                      = "cluster"
  user_assigned_identity_id = azurerm_user_assigned_identity.workload.id
  issuer                    = data.azurerm_kubernetes_cluster.dev.oidc_issuer_url
  subject                   = "system:serviceaccount:${var.account}"
  audience                  = ["api://AzureADTokenExchange"]
}

# A vault with its policies inside.

resource "azurerm_key_vault" "inside" {
  name                       = "${var.name}-inside"
  resource_group_name        = azurerm_resource_group.workload.name
  location                   = azurerm_resource_group.workload.location
  tenant_id                  = data.azurerm_client_config.current.tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = false
  soft_delete_retention_days = 7
  tags                       = local.tags

  access_policy {
    tenant_id          = data.azurerm_client_config.current.tenant_id
    object_id          = data.azurerm_client_config.current.object_id
    secret_permissions = local.all
  }

  access_policy {
    tenant_id          = azurerm_user_assigned_identity.workload.tenant_id
    object_id          = azurerm_user_assigned_identity.workload.principal_id
    secret_permissions = var.permissions
  }
}

resource "azurerm_key_vault_secret" "inside" {
  name         = "password"
  key_vault_id = azurerm_key_vault.inside.id
  value        = var.password
}

# A vault with each policy as a resource of its own, and a firewall.

resource "azurerm_key_vault" "beside" {
  name                       = "${var.name}-beside"
  resource_group_name        = azurerm_resource_group.workload.name
  location                   = azurerm_resource_group.workload.location
  tenant_id                  = data.azurerm_client_config.current.tenant_id
  sku_name                   = "premium"
  rbac_authorization_enabled = false

  network_acls {
    bypass         = "None"
    default_action = "Deny"
    ip_rules       = var.addresses
  }
}

resource "azurerm_key_vault_access_policy" "deployer" {
  key_vault_id       = azurerm_key_vault.beside.id
  tenant_id          = data.azurerm_client_config.current.tenant_id
  object_id          = data.azurerm_client_config.current.object_id
  secret_permissions = local.all
}

resource "azurerm_key_vault_access_policy" "workload" {
  key_vault_id       = azurerm_key_vault.beside.id
  tenant_id          = azurerm_user_assigned_identity.workload.tenant_id
  object_id          = azurerm_user_assigned_identity.workload.principal_id
  secret_permissions = var.permissions
}

resource "azurerm_key_vault_secret" "beside" {
  name             = "password"
  key_vault_id     = azurerm_key_vault.beside.id
  value_wo         = var.password
  value_wo_version = length(var.password)
  depends_on       = [azurerm_key_vault_access_policy.deployer]
}

# A vault with roles.

resource "azurerm_key_vault" "roles" {
  name                       = "${var.name}-roles"
  resource_group_name        = azurerm_resource_group.workload.name
  location                   = azurerm_resource_group.workload.location
  tenant_id                  = data.azurerm_client_config.current.tenant_id
  sku_name                   = "standard"
  rbac_authorization_enabled = true
}

data "azurerm_role_definition" "user" {
  name  = "Key Vault Secrets User"
  scope = data.azurerm_subscription.current.id
}

resource "azurerm_role_assignment" "deployer" {
  scope                = azurerm_key_vault.roles.id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = data.azurerm_client_config.current.object_id
}

resource "azurerm_role_assignment" "workload" {
  scope              = azurerm_key_vault.roles.id
  role_definition_id = data.azurerm_role_definition.user.id
  principal_id       = azurerm_user_assigned_identity.workload.principal_id
  principal_type     = "ServicePrincipal"
  description        = var.purpose
}

resource "azurerm_key_vault_secret" "roles" {
  name            = "password"
  key_vault_id    = azurerm_key_vault.roles.id
  value           = var.password
  content_type    = "text/plain"
  not_before_date = "2020-01-01T00:00:00Z"
  expiration_date = "2090-01-01T00:00:00Z"
  tags            = local.tags
  depends_on      = [azurerm_role_assignment.deployer]
}
