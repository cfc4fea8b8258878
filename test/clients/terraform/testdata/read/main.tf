# Reads what somebody else has made, and makes nothing.

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

data "azurerm_subscription" "current" {}

data "azurerm_key_vault" "vault" {
  name                = "kv-read"
  resource_group_name = "lanyard"
}

data "azurerm_key_vault_secret" "secret" {
  name         = "password"
  key_vault_id = data.azurerm_key_vault.vault.id
}

data "azurerm_kubernetes_cluster" "dev" {
  name                = "dev"
  resource_group_name = "lanyard"
}

output "read" {
  sensitive = true
  value = {
    client   = data.azurerm_client_config.current.client_id
    tenant   = data.azurerm_subscription.current.tenant_id
    vault    = data.azurerm_key_vault.vault.vault_uri
    password = data.azurerm_key_vault_secret.secret.value
    issuer   = data.azurerm_kubernetes_cluster.dev.oidc_issuer_url
  }
}
