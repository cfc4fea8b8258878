# What the server does not have, or would not keep.

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

data "azurerm_client_config" "current" {}

data "azurerm_resource_group" "lanyard" {
  name = "lanyard"
}

data "azurerm_key_vault" "vault" {
  name                = "kv-refused"
  resource_group_name = data.azurerm_resource_group.lanyard.name
}

resource "azurerm_key_vault_key" "key" {
  name         = "key"
  key_vault_id = data.azurerm_key_vault.vault.id
  key_type     = "RSA"
  key_size     = 2048
  key_opts     = ["sign", "verify"]
}

resource "azurerm_user_assigned_identity" "regional" {
  name                = "regional"
  resource_group_name = data.azurerm_resource_group.lanyard.name
  location            = data.azurerm_resource_group.lanyard.location
  isolation_scope     = "Regional"
}

resource "azurerm_role_assignment" "condition" {
  scope                = data.azurerm_key_vault.vault.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = data.azurerm_client_config.current.object_id
  condition_version    = "2.0"
  condition            = "@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 'password'"
}

resource "azurerm_role_definition" "custom" {
  name  = "reads one thing"
  scope = data.azurerm_resource_group.lanyard.id

  permissions {
    actions = ["Microsoft.KeyVault/vaults/read"]
  }
}

resource "azurerm_kubernetes_cluster" "new" {
  name                = "new"
  resource_group_name = data.azurerm_resource_group.lanyard.name
  location            = data.azurerm_resource_group.lanyard.location
  dns_prefix          = "new"

  node_provisioning_profile {
    mode = "Manual"
  }

  default_node_pool {
    name       = "default"
    node_count = 1
    vm_size    = "Standard_D2_v2"
  }

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_storage_account" "storage" {
  name                     = "lanyardstorage"
  resource_group_name      = data.azurerm_resource_group.lanyard.name
  location                 = data.azurerm_resource_group.lanyard.location
  account_tier             = "Standard"
  account_replication_type = "LRS"
}
