"""The public management SDKs for Python against Lanyard.

Arguments: CREDENTIAL "manage". Without RESOURCE_MANAGER_URL they go where they
go by themselves: to the public cloud. Exits 0 when every step held.
"""

import os
import sys

from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient

from client import check, credential, fails

GROUP, LOCATION = "lanyard", "westeurope"


class Tagged:
    """Keeps the ETag of the answer: client.get(..., raw_response_hook=tagged)."""

    def __call__(self, response):
        self.etag = response.http_response.headers["ETag"]


def two_writers(what, etag, update):
    """Updates with one ETag twice: the first wins."""
    update({"by": "first"}, headers={"If-Match": etag})
    fails(what, 412, "PreconditionFailed", lambda: update({"by": "second"}, headers={"If-Match": etag}))


def pages(what, paged, want):
    """Reads every page, and wants more than one."""
    found = [[item.name for item in page] for page in paged.by_page()]
    check(what, (len(found) > 1, max(map(len, found)), set(want) - set(sum(found, []))), (True, 2, set()))


def identities(client):
    names = ["py-a", "py-b", "py-c"]
    one = client.user_assigned_identities
    fails("identity missing", 404, "ResourceNotFound", lambda: one.get(GROUP, "py-a"))
    made = [one.create_or_update(GROUP, name, {"location": LOCATION}) for name in names][0]
    tagged = Tagged()
    got = one.get(GROUP, "py-a", raw_response_hook=tagged)
    check("identity read", (got.client_id, got.principal_id, got.location), (made.client_id, made.principal_id, LOCATION))
    two_writers("identity etag", tagged.etag, lambda tags, **kw: one.update(GROUP, "py-a", {"tags": tags}, **kw))
    fails("identity moved", 409, "InvalidResourceLocation", lambda: one.create_or_update(GROUP, "py-a", {"location": "eastus"}))
    fails("identity without group", 404, "ResourceGroupNotFound", lambda: one.create_or_update("none", "py-a", {"location": LOCATION}))
    pages("identity pages of a group", one.list_by_resource_group(GROUP, params={"$top": "2"}), names)
    pages("identity pages", one.list_by_subscription(params={"$top": "2"}), names)

    credentials(client.federated_identity_credentials)

    for name in names:
        one.delete(GROUP, name)
    fails("identity gone", 404, "ResourceNotFound", lambda: one.get(GROUP, "py-a"))
    one.delete(GROUP, "py-a")


def credentials(one):
    def trust(subject):
        return {"issuer": "https://oidc.example/py/", "subject": subject, "audiences": ["api://AzureADTokenExchange"]}

    names = ["one", "two", "three"]
    fails("credential missing", 404, "ResourceNotFound", lambda: one.get(GROUP, "py-a", "one"))
    for name in names:
        one.create_or_update(GROUP, "py-a", name, trust(name))
    tagged = Tagged()
    got = one.get(GROUP, "py-a", "one", raw_response_hook=tagged)
    check("credential read", (got.issuer, got.subject), ("https://oidc.example/py/", "one"))
    two_writers("credential etag", tagged.etag, lambda tags, **kw: one.create_or_update(GROUP, "py-a", "one", trust(tags["by"]), **kw))
    fails("credential twice", 400, "BadRequest", lambda: one.create_or_update(GROUP, "py-a", "four", trust("two")))
    fails("credential without identity", 404, "ParentResourceNotFound", lambda: one.create_or_update(GROUP, "none", "one", trust("s")))
    pages("credential pages", one.list(GROUP, "py-a", top=2), names)
    one.delete(GROUP, "py-a", "one")
    fails("credential gone", 404, "ResourceNotFound", lambda: one.get(GROUP, "py-a", "one"))


def vaults(one):
    def vault(**more):
        sku = {"family": "A", "name": "standard"}
        return {"location": LOCATION, "properties": {"tenantId": os.environ["AZURE_TENANT_ID"], "sku": sku, "accessPolicies": [], **more}}

    names = ["kv-py-1", "kv-py-2", "kv-py-3"]
    asked = {"name": "kv-py-1", "type": "Microsoft.KeyVault/vaults"}
    check("vault name", one.check_name_availability(asked).name_available, True)
    fails("vault missing", 404, "ResourceNotFound", lambda: one.get(GROUP, "kv-py-1"))
    for name in names:
        made = one.begin_create_or_update(GROUP, name, vault()).result()
    check("vault created", (made.properties.provisioning_state, made.properties.enable_rbac_authorization), ("Succeeded", True))
    check("vault name taken", one.check_name_availability(asked).name_available, False)
    tagged = Tagged()
    one.get(GROUP, "kv-py-1", raw_response_hook=tagged)
    two_writers("vault etag", tagged.etag, lambda tags, **kw: one.update(GROUP, "kv-py-1", {"tags": tags}, **kw))
    pages("vault pages of a group", one.list_by_resource_group(GROUP, top=2), names)
    pages("vault pages", one.list_by_subscription(top=2), names)

    for name in names:
        one.delete(GROUP, name)
    fails("vault gone", 404, "ResourceNotFound", lambda: one.get(GROUP, "kv-py-1"))
    fails("vault name kept", 409, "VaultAlreadyExists", lambda: one.begin_create_or_update(GROUP, "kv-py-1", vault()))
    check("deleted vault", one.get_deleted("kv-py-1", LOCATION).properties.location, LOCATION)
    pages("deleted vault pages", one.list_deleted(params={"$top": "2"}), names)
    recovered = one.begin_create_or_update(GROUP, "kv-py-1", vault(createMode="recover")).result()
    check("vault recovered", recovered.tags, {"by": "first"})
    one.begin_purge_deleted("kv-py-2", LOCATION).result()
    fails("vault purged", 404, "DeletedVaultNotFound", lambda: one.get_deleted("kv-py-2", LOCATION))


def main():
    url = os.environ.get("RESOURCE_MANAGER_URL")
    where = {"base_url": url, "credential_scopes": [url + "/.default"]} if url else {}
    who, subscription = credential(sys.argv[1]), os.environ["AZURE_SUBSCRIPTION_ID"]
    identities(ManagedServiceIdentityClient(who, subscription, **where))
    vaults(KeyVaultManagementClient(who, subscription, **where).vaults)


main()
