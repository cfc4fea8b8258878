// The public Azure SDK for JavaScript against Lanyard, as any program uses it.
// Arguments: CREDENTIAL OPERATION. Exits 0 when every step held.

import assert from "node:assert/strict";
import { SecretClient } from "@azure/keyvault-secrets";
import { check, collect, credentials, env, fails } from "./steps.mjs";

async function read(vault) {
  const secret = await vault.getSecret(env.SECRET_NAME);
  check("read", secret.value, env.SECRET_VALUE);
}

async function everything(vault) {
  const name = env.SECRET_PREFIX + "-all";
  const odd = 'zwei ä€🔑\n"\\<&>';
  const expiresOn = new Date(Math.ceil(Date.now() / 1000 + 86400) * 1000);

  const first = await vault.setSecret(name, "one", { contentType: "text/plain", tags: { a: "b" }, expiresOn });
  check("set", [first.value, first.properties.tags, first.properties.expiresOn], ["one", { a: "b" }, expiresOn]);
  const second = await vault.setSecret(name, odd);
  check("get latest", (await vault.getSecret(name)).value, odd);
  check("get version", (await vault.getSecret(name, { version: first.properties.version })).value, "one");
  const versions = (await collect(vault.listPropertiesOfSecretVersions(name))).map((p) => p.version).sort();
  check("versions", versions, [first.properties.version, second.properties.version].sort());

  const changed = await vault.updateSecretProperties(name, second.properties.version, { enabled: false });
  check("update", changed.enabled, false);
  await fails("disabled", 403, "Forbidden", () => vault.getSecret(name));
  await vault.updateSecretProperties(name, second.properties.version, { enabled: true, tags: { c: "d" } });
  check("tags", (await vault.getSecret(name)).properties.tags, { c: "d" });

  const many = Array.from({ length: 30 }, (_, i) => `${env.SECRET_PREFIX}-many-${i}`);
  for (const n of many) await vault.setSecret(n, n);
  const listed = new Set();
  for await (const page of vault.listPropertiesOfSecrets().byPage({ maxPageSize: 7 })) {
    assert.ok(page.length <= 7, "a page is longer than asked for");
    for (const p of page) listed.add(p.name);
  }
  check("pages", many.filter((n) => !listed.has(n)), []);

  const backup = await vault.backupSecret(name);
  const poller = await vault.beginDeleteSecret(name, { intervalInMs: 10 });
  const deleted = await poller.pollUntilDone();
  check("deleted", [deleted.name, Boolean(deleted.recoveryId)], [name, true]);
  await fails("gone", 404, "SecretNotFound", () => vault.getSecret(name));
  await fails("name taken", 409, "Conflict", () => vault.setSecret(name, "x"));
  check("get deleted", (await vault.getDeletedSecret(name)).name, name);
  check("list deleted", (await collect(vault.listDeletedSecrets())).some((d) => d.name === name), true);
  await (await vault.beginRecoverDeletedSecret(name, { intervalInMs: 10 })).pollUntilDone();
  check("recovered", (await vault.getSecret(name)).properties.version, second.properties.version);

  await (await vault.beginDeleteSecret(name, { intervalInMs: 10 })).pollUntilDone();
  await vault.purgeDeletedSecret(name);
  await fails("purged", 404, "SecretNotFound", () => vault.getDeletedSecret(name));
  const restored = await vault.restoreSecretBackup(backup);
  check("restored", restored.version, second.properties.version);
  check("restored value", (await vault.getSecret(name, { version: first.properties.version })).value, "one");
}

const [kind, operation] = process.argv.slice(2);
const vault = new SecretClient(env.KEYVAULT_URL, credentials[kind]());
await { read, all: everything }[operation](vault);
