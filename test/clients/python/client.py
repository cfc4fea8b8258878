"""The public Azure SDK for Python against Lanyard, as any program uses it.

Arguments: CREDENTIAL OPERATION. The credential is found in the environment, the
way each credential class documents it. Exits 0 when every step held.
"""

import os
import sys
from datetime import datetime, timedelta, timezone

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import (
    AzurePipelinesCredential,
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from azure.keyvault.secrets import SecretClient


def assertion():
    with open(os.environ["AZURE_FEDERATED_TOKEN_FILE"]) as f:
        return f.read()


def managed():
    """The machine's only identity, or the one that MANAGED_ID names, such as client=ID."""
    kind, _, value = os.environ.get("MANAGED_ID", "").partition("=")
    if kind == "client":
        return ManagedIdentityCredential(client_id=value)
    names = {"object": "object_id", "resource": "mi_res_id"}
    return ManagedIdentityCredential(identity_config={names[kind]: value} if kind else None)


def credential(kind):
    tenant, client = os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"]
    return {
        "workload": lambda: WorkloadIdentityCredential(),
        "default": lambda: DefaultAzureCredential(),
        "assertion": lambda: ClientAssertionCredential(tenant, client, assertion),
        "secret": lambda: ClientSecretCredential(tenant, client, os.environ["AZURE_CLIENT_SECRET"]),
        "managed": managed,
        "pipelines": lambda: AzurePipelinesCredential(
            tenant_id=tenant,
            client_id=client,
            service_connection_id=os.environ["SERVICE_CONNECTION_ID"],
            system_access_token=os.environ["SYSTEM_ACCESSTOKEN"],
        ),
        "certificate": lambda: CertificateCredential(tenant, client, os.environ["AZURE_CLIENT_CERTIFICATE_PATH"]),
        "chain": lambda: CertificateCredential(
            tenant, client, os.environ["AZURE_CLIENT_CERTIFICATE_PATH"], send_certificate_chain=True
        ),
        "environment": lambda: EnvironmentCredential(),
    }[kind]()


def check(what, got, want):
    if got != want:
        raise SystemExit(f"{what}: got {got!r}, want {want!r}")
    print("ok", what)


def fails(what, status, code, call):
    try:
        call()
    except HttpResponseError as e:
        check(what, (e.status_code, e.error.code if e.error else None), (status, code))
        return
    raise SystemExit(f"{what}: no error")


def read(vault):
    secret = vault.get_secret(os.environ["SECRET_NAME"])
    check("read", secret.value, os.environ["SECRET_VALUE"])


def everything(vault):
    name = os.environ["SECRET_PREFIX"] + "-all"
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)

    first = vault.set_secret(name, "one", content_type="text/plain", tags={"a": "b"}, expires_on=expires)
    check("set", (first.value, first.properties.tags, first.properties.expires_on), ("one", {"a": "b"}, expires))
    second = vault.set_secret(name, "zwei \u00e4\u20ac\U0001f511\n\"\\<&>")
    check("get latest", vault.get_secret(name).value, "zwei \u00e4\u20ac\U0001f511\n\"\\<&>")
    check("get version", vault.get_secret(name, first.properties.version).value, "one")
    versions = {p.version for p in vault.list_properties_of_secret_versions(name)}
    check("versions", versions, {first.properties.version, second.properties.version})

    changed = vault.update_secret_properties(name, enabled=False)
    check("update", changed.enabled, False)
    fails("disabled", 403, "Forbidden", lambda: vault.get_secret(name))
    vault.update_secret_properties(name, enabled=True, tags={"c": "d"})
    check("tags", vault.get_secret(name).properties.tags, {"c": "d"})

    many = {f"{os.environ['SECRET_PREFIX']}-many-{i:02d}" for i in range(30)}
    for n in many:
        vault.set_secret(n, n)
    listed = {p.name for p in vault.list_properties_of_secrets(max_page_size=7)}
    check("pages", many - listed, set())

    backup = vault.backup_secret(name)
    deleted = vault.begin_delete_secret(name).result()
    check("deleted", (deleted.name, deleted.recovery_id is not None), (name, True))
    fails("gone", 404, "SecretNotFound", lambda: vault.get_secret(name))
    fails("name taken", 409, "Conflict", lambda: vault.set_secret(name, "x"))
    check("get deleted", vault.get_deleted_secret(name).name, name)
    check("list deleted", name in {d.name for d in vault.list_deleted_secrets()}, True)
    vault.begin_recover_deleted_secret(name).wait()
    check("recovered", vault.get_secret(name).properties.version, second.properties.version)

    vault.begin_delete_secret(name).wait()
    vault.purge_deleted_secret(name)
    try:
        vault.get_deleted_secret(name)
        raise SystemExit("purged: still there")
    except ResourceNotFoundError:
        print("ok purged")
    restored = vault.restore_secret_backup(backup)
    check("restored", restored.version, second.properties.version)
    check("restored value", vault.get_secret(name, first.properties.version).value, "one")


def main():
    kind, operation = sys.argv[1:]
    vault = SecretClient(vault_url=os.environ["KEYVAULT_URL"], credential=credential(kind))
    {"read": read, "all": everything}[operation](vault)


if __name__ == "__main__":
    main()
