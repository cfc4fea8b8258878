// What the programs share: how they sign in, and how they say what held.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import {
  AzurePipelinesCredential,
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  DefaultAzureCredential,
  EnvironmentCredential,
  ManagedIdentityCredential,
  WorkloadIdentityCredential,
} from "@azure/identity";

export const env = process.env;

export const credentials = {
  workload: () => new WorkloadIdentityCredential(),
  default: () => new DefaultAzureCredential(),
  assertion: () =>
    new ClientAssertionCredential(env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, () =>
      readFile(env.AZURE_FEDERATED_TOKEN_FILE, "utf8"),
    ),
  secret: () => new ClientSecretCredential(env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, env.AZURE_CLIENT_SECRET),
  managed: () => new ManagedIdentityCredential(...managedID()),
  actions: () =>
    new ClientAssertionCredential(env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, async () => {
      const { getIDToken } = await import("@actions/core");
      return getIDToken(env.ACTIONS_AUDIENCE);
    }),
  pipelines: () =>
    new AzurePipelinesCredential(env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, env.SERVICE_CONNECTION_ID, env.SYSTEM_ACCESSTOKEN),
  certificate: () =>
    new ClientCertificateCredential(env.AZURE_TENANT_ID, env.AZURE_CLIENT_ID, {
      certificatePath: env.AZURE_CLIENT_CERTIFICATE_PATH,
    }),
  chain: () =>
    new ClientCertificateCredential(
      env.AZURE_TENANT_ID,
      env.AZURE_CLIENT_ID,
      { certificatePath: env.AZURE_CLIENT_CERTIFICATE_PATH },
      { sendCertificateChain: true },
    ),
  environment: () => new EnvironmentCredential(),
};

// The machine's only identity, or the one that MANAGED_ID names, such as client=ID.
function managedID() {
  const [kind, id] = (env.MANAGED_ID ?? "").split(/=(.*)/s);
  const options = { client: { clientId: id }, object: { objectId: id }, resource: { resourceId: id } };
  return kind ? [options[kind]] : [];
}

export function check(what, got, want) {
  assert.deepEqual(got, want, what);
  console.log("ok", what);
}

export async function fails(what, status, code, call) {
  await assert.rejects(call, (e) => {
    assert.deepEqual([e.statusCode, e.code], [status, code], what);
    return true;
  });
  console.log("ok", what);
}

export async function collect(pages) {
  const all = [];
  for await (const item of pages) all.push(item);
  return all;
}
