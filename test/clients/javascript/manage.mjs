// The public management SDKs for JavaScript against Lanyard. Arguments:
// CREDENTIAL "manage". Without RESOURCE_MANAGER_URL they go where they go by
// themselves: to the public cloud. Exits 0 when every step held.

import assert from "node:assert/strict";
import { KeyVaultManagementClient } from "@azure/arm-keyvault";
import { ManagedServiceIdentityClient } from "@azure/arm-msi";
import { check, credentials, env, fails } from "./steps.mjs";

const group = "lanyard";
const location = "westeurope";

// etagOf runs a call and gives the ETag of its answer.
async function etagOf(call) {
  let etag;
  await call({ onResponse: (response) => (etag = response.headers.get("etag")) });
  return etag;
}

// twoWriters updates with one ETag twice: the first wins. The two SDKs are of two
// generations, each with its own word for headers.
async function twoWriters(what, etag, update) {
  const only = { requestOptions: { customHeaders: { "If-Match": etag }, headers: { "If-Match": etag } } };
  await update({ by: "first" }, only);
  await fails(what, 412, "PreconditionFailed", () => update({ by: "second" }, only));
}

// pages reads every page, and wants more than one.
async function pages(what, paged, want) {
  const found = [];
  for await (const page of paged.byPage()) found.push(page.map((item) => item.name));
  assert.ok(found.length > 1 && found.every((page) => page.length <= 2), `${what}: pages ${JSON.stringify(found)}`);
  check(what, want.filter((name) => !found.flat().includes(name)), []);
}

// smallPages asks for two items at a time where the SDK has no such option.
const smallPages = {
  name: "smallPages",
  sendRequest(request, next) {
    const url = new URL(request.url);
    if (request.method === "GET" && /\/(userAssignedIdentities|deletedVaults)$/.test(url.pathname)) url.searchParams.set("$top", "2");
    request.url = url.toString();
    return next(request);
  },
};

async function identities(client) {
  const names = ["js-a", "js-b", "js-c"];
  const all = client.userAssignedIdentities;
  await fails("identity missing", 404, "ResourceNotFound", () => all.get(group, "js-a"));
  for (const name of names) await all.createOrUpdate(group, name, { location });
  const etag = await etagOf((options) => all.get(group, "js-a", options));
  check("identity read", Object.keys(await all.get(group, "js-a")).includes("clientId"), true);
  await twoWriters("identity etag", etag, (tags, options) => all.update(group, "js-a", { tags }, options));
  await fails("identity moved", 409, "InvalidResourceLocation", () => all.createOrUpdate(group, "js-a", { location: "eastus" }));
  await fails("identity without group", 404, "ResourceGroupNotFound", () => all.createOrUpdate("none", "js-a", { location }));
  await pages("identity pages of a group", all.listByResourceGroup(group), names);
  await pages("identity pages", all.listBySubscription(), names);

  await federated(client.federatedIdentityCredentials);

  for (const name of names) await all.delete(group, name);
  await fails("identity gone", 404, "ResourceNotFound", () => all.get(group, "js-a"));
  await all.delete(group, "js-a");
}

async function federated(all) {
  const issuer = "https://oidc.example/js/";
  const trust = (subject) => ({ issuer, subject, audiences: ["api://AzureADTokenExchange"] });
  const names = ["one", "two", "three"];
  await fails("credential missing", 404, "ResourceNotFound", () => all.get(group, "js-a", "one"));
  for (const name of names) await all.createOrUpdate(group, "js-a", name, trust(name));
  const got = await all.get(group, "js-a", "one");
  check("credential read", [got.issuer, got.subject], [issuer, "one"]);
  const etag = await etagOf((options) => all.get(group, "js-a", "one", options));
  await twoWriters("credential etag", etag, (tags, options) => all.createOrUpdate(group, "js-a", "one", trust(tags.by), options));
  await fails("credential twice", 400, "BadRequest", () => all.createOrUpdate(group, "js-a", "four", trust("two")));
  await fails("credential without identity", 404, "ParentResourceNotFound", () => all.createOrUpdate(group, "none", "one", trust("s")));
  await pages("credential pages", all.list(group, "js-a", { top: 2 }), names);
  await all.delete(group, "js-a", "one");
  await fails("credential gone", 404, "ResourceNotFound", () => all.get(group, "js-a", "one"));
}

async function vaults(all) {
  const vault = (more) => ({
    location,
    properties: { tenantId: env.AZURE_TENANT_ID, sku: { family: "A", name: "standard" }, accessPolicies: [], ...more },
  });
  const names = ["kv-js-1", "kv-js-2", "kv-js-3"];
  const asked = { name: "kv-js-1", type: "Microsoft.KeyVault/vaults" };
  check("vault name", (await all.checkNameAvailability(asked)).nameAvailable, true);
  await fails("vault missing", 404, "ResourceNotFound", () => all.get(group, "kv-js-1"));
  for (const name of names) {
    const made = await all.createOrUpdate(group, name, vault());
    check("vault created", [made.properties.provisioningState, made.properties.enableRbacAuthorization], ["Succeeded", true]);
  }
  check("vault name taken", (await all.checkNameAvailability(asked)).nameAvailable, false);
  const etag = await etagOf((options) => all.get(group, "kv-js-1", options));
  await twoWriters("vault etag", etag, (tags, options) => all.update(group, "kv-js-1", { tags }, options));
  await pages("vault pages of a group", all.listByResourceGroup(group, { top: 2 }), names);
  await pages("vault pages", all.listBySubscription({ top: 2 }), names);

  for (const name of names) await all.delete(group, name);
  await fails("vault gone", 404, "ResourceNotFound", () => all.get(group, "kv-js-1"));
  await fails("vault name kept", 409, "VaultAlreadyExists", async () => await all.createOrUpdate(group, "kv-js-1", vault()));
  check("deleted vault", (await all.getDeleted("kv-js-1", location)).properties.location, location);
  await pages("deleted vault pages", all.listDeleted(), names);
  const recovered = await all.createOrUpdate(group, "kv-js-1", vault({ createMode: "recover" }));
  check("vault recovered", recovered.tags, { by: "first" });
  await all.purgeDeleted("kv-js-2", location);
  await fails("vault purged", 404, "DeletedVaultNotFound", () => all.getDeleted("kv-js-2", location));
}

const options = { additionalPolicies: [{ policy: smallPages, position: "perCall" }] };
if (env.RESOURCE_MANAGER_URL) {
  const scopes = [env.RESOURCE_MANAGER_URL + "/.default"];
  Object.assign(options, { endpoint: env.RESOURCE_MANAGER_URL, credentialScopes: scopes, credentials: { scopes } });
}
const who = credentials[process.argv[2]]();
await identities(new ManagedServiceIdentityClient(who, env.AZURE_SUBSCRIPTION_ID, options));
await vaults(new KeyVaultManagementClient(who, env.AZURE_SUBSCRIPTION_ID, options).vaults);
