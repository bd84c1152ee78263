// What the clients' scripts share. Each is run by TestForeignClients, which starts
// the servers, and prints what it could do as one line of JSON.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const {
  TEST_URL, TEST_KEY, TEST_LOGIN, TEST_PASSWORD, TEST_USER, TEST_CUSTOMER,
  TEST_BROKEN_URL, TEST_BROKEN_KEY, // reads are a 503, and the second other request a 429
} = process.env;

export const unauthorized = "Provided credentials are missing or invalid";
export const forbidden = "You are not authorized to perform this action";

export function isToken(token, services = []) {
  assert.match(token.id, /^[A-Za-z0-9]{21,22}$/);
  assert.equal(token.user_id, TEST_USER);
  assert.deepEqual(token.services, services);
  assert.match(token.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
}

export const id = (token) => token.id;

// run performs the steps in their order. Each returns how, "" for by the client's
// own method, and throws if anything is not as it should be.
export async function run(name, steps) {
  const { version } = JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url)));
  const cells = {};
  for (const [step, perform] of Object.entries(steps)) {
    try {
      cells[step] = await perform() || "";
    } catch (err) {
      console.error(`${name}: ${step}: ${err.stack ?? JSON.stringify(err)}`);
      process.exitCode = 1;
    }
  }
  console.log(JSON.stringify({ name, version, cells }));
  process.exit(); // some keep connections
}
