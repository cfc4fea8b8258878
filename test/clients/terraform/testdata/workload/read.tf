# The same again, as somebody reads it who did not make it.

data "azurerm_resource_group" "workload" {
  name = azurerm_resource_group.workload.name
}

data "azurerm_user_assigned_identity" "workload" {
  name                = azurerm_user_assigned_identity.workload.name
  resource_group_name = azurerm_resource_group.workload.name
}

data "azurerm_key_vault" "inside" {
  name                = azurerm_key_vault.inside.name
  resource_group_name = azurerm_resource_group.workload.name
}

data "azurerm_key_vault_secret" "inside" {
  name         = azurerm_key_vault_secret.inside.name
  key_vault_id = data.azurerm_key_vault.inside.id
}

data "azurerm_key_vault_secrets" "roles" {
  key_vault_id = azurerm_key_vault_secret.roles.key_vault_id
}

data "azurerm_role_assignments" "roles" {
  scope        = azurerm_key_vault.roles.id
  principal_id = azurerm_role_assignment.workload.principal_id
}

data "azurerm_resources" "vaults" {
  resource_group_name = azurerm_resource_group.workload.name
  type                = "Microsoft.KeyVault/vaults"
  depends_on          = [azurerm_key_vault.inside, azurerm_key_vault.beside, azurerm_key_vault.roles]
}

output "client_id" {
  value = data.azurerm_user_assigned_identity.workload.client_id
}

output "vaults" {
  value = [azurerm_key_vault.inside.vault_uri, azurerm_key_vault.beside.vault_uri, azurerm_key_vault.roles.vault_uri]
}

output "read" {
  sensitive = true
  value = {
    subscription = data.azurerm_subscription.current.display_name
    location     = data.azurerm_resource_group.workload.location
    principal    = data.azurerm_user_assigned_identity.workload.principal_id == azurerm_user_assigned_identity.workload.principal_id
    policies     = length(data.azurerm_key_vault.inside.access_policy)
    password     = data.azurerm_key_vault_secret.inside.value
    secrets      = data.azurerm_key_vault_secrets.roles.names
    roles        = [for r in data.azurerm_role_assignments.roles.role_assignments : basename(r.role_definition_id)]
    vaults       = length(data.azurerm_resources.vaults.resources)
    kubernetes   = data.azurerm_kubernetes_cluster.dev.kubernetes_version
    kubeconfig   = data.azurerm_kubernetes_cluster.dev.kube_config[0].host
  }
}
