// Does the eight operations of the Tokens API with the npm package "fastly",
// Fastly's generated client, and checks what comes back. Run by
// .ci/conformance, which says against what.
import assert from "node:assert/strict";
import Fastly from "fastly";

const { TEST_URL, TEST_KEY, TEST_LOGIN, TEST_PASSWORD, TEST_USER, TEST_CUSTOMER } = process.env;

// client returns an ApiClient of the server. The package takes its host from the
// API's description and knows no option for another.
function client(key) {
  const c = new Fastly.ApiClient();
  if (key) c.authenticate(key);
  c.plugins = [(request) => {
    assert.ok(request.url.startsWith("https://api.fastly.com/"), request.url);
    request.url = TEST_URL + request.url.slice("https://api.fastly.com".length);
  }];
  return c;
}

const tokens = (key) => new Fastly.TokensApi(client(key));

// login returns an API that authenticates by user name and password.
function login() {
  const c = client();
  Object.assign(c.authentications.username_and_password, { username: TEST_LOGIN, password: TEST_PASSWORD });
  return new Fastly.TokensApi(c);
}

// createByForm sends a login in the form, as the API's documentation shows. The
// package's createToken has no fields, so this is what it is made of.
async function createByForm(fields) {
  const { data } = await client().callApi("/tokens", "POST", {}, {}, {}, {},
    { username: TEST_LOGIN, password: TEST_PASSWORD, ...fields }, null, [],
    ["application/x-www-form-urlencoded"], ["application/json"],
    Fastly.TokenCreatedResponse, "https://api.fastly.com");
  return data;
}

// refused checks that the call is refused with the status and message.
async function refused(call, status, msg) {
  await assert.rejects(call, (err) => {
    assert.equal(err.status, status);
    assert.equal(err.body.msg, msg);
    return true;
  });
}

function isToken(token, services = []) {
  assert.match(token.id, /^[A-Za-z0-9]{22}$/);
  assert.equal(token.user_id, TEST_USER);
  assert.deepEqual(token.services, services);
  assert.match(token.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
}

const id = (token) => token.id;
const created = []; // by the first operation, used by those after it

const operations = {
  async createToken() {
    await refused(tokens().createToken(), 400, "Bad request");
    await refused(tokens("unknown").createToken(), 401, "Provided credentials are missing or invalid");
    await refused(tokens(TEST_KEY).createToken(), 403, "You must POST /sudo to access this endpoint");
    const sudo = new Fastly.SudoApi(client(TEST_KEY));
    const confirm = (password) => sudo.requestSudoAccess({ sudo_request: { username: TEST_LOGIN, password } });
    await refused(confirm("wrong"), 403, "You are not authorized to perform this action");
    const until = (await confirm(TEST_PASSWORD)).expiry_time - Date.now();
    assert.ok(until > 0 && until <= 5 * 60 * 1000, `confirmed for ${until} ms`);
    created.push(await tokens(TEST_KEY).createToken(), await login().createToken());
    created.push(await createByForm({ name: "ci", scope: "purge_all purge_select", "services[]": ["A1", "B2"] }));
    for (const token of created) assert.match(token.access_token, /^[\w-]{32}$/);
    isToken(created[0]);
    isToken(created[1]);
    isToken(created[2], ["A1", "B2"]);
    assert.equal(created[0].scope, "global");
    assert.equal(created[2].scope, "purge_all purge_select");
    assert.equal(created[2].name, "ci");
    assert.equal(new Set(created.map(id)).size, 3);
    return "by key after POST /sudo, by HTTP Basic, by login in the form";
  },
  async getToken() {
    const token = await tokens(TEST_KEY).getToken({ token_id: created[2].id });
    isToken(token, ["A1", "B2"]);
    assert.equal(token.scope, "purge_all purge_select");
    assert.equal(token.name, "ci");
    await refused(tokens(TEST_KEY).getToken({ token_id: "none" }), 404, "Record not found");
  },
  async getTokenCurrent() {
    const token = await tokens(created[2].access_token).getTokenCurrent();
    assert.equal(token.id, created[2].id);
    assert.match(token.user_agent, /^fastly-js/);
  },
  async listTokensUser() {
    const list = await tokens(TEST_KEY).listTokensUser();
    assert.equal(list.length, 4);
    list.filter((t) => t.id !== created[2].id).forEach((t) => isToken(t));
    for (const token of created) assert.ok(list.map(id).includes(token.id));
    await refused(tokens(created[2].access_token).listTokensUser(), 403, "You are not authorized to perform this action");
  },
  async listTokensCustomer() {
    const list = await tokens(TEST_KEY).listTokensCustomer({ customer_id: TEST_CUSTOMER });
    assert.deepEqual(list.map(id).sort(), (await tokens(TEST_KEY).listTokensUser()).map(id).sort());
  },
  async bulkRevokeTokens() {
    const data = created.slice(0, 2).map(({ id }) => ({ type: "token", id }));
    await tokens(TEST_KEY).bulkRevokeTokens({ request_body: { data } });
    for (const token of created.slice(0, 2)) {
      await refused(tokens(TEST_KEY).getToken({ token_id: token.id }), 404, "Record not found");
      await refused(tokens(token.access_token).getTokenCurrent(), 401, "Provided credentials are missing or invalid");
    }
  },
  async revokeToken() {
    await tokens(TEST_KEY).revokeToken({ token_id: created[2].id });
    await refused(tokens(TEST_KEY).revokeToken({ token_id: created[2].id }), 404, "Record not found");
  },
  async revokeTokenCurrent() {
    const one = await createByForm({ name: "self" });
    await tokens(one.access_token).revokeTokenCurrent();
    await refused(tokens(one.access_token).revokeTokenCurrent(), 401, "Provided credentials are missing or invalid");
  },
};

let passed = 0;
for (const [name, operation] of Object.entries(operations)) {
  try {
    const note = await operation();
    console.log(`ok      ${name}${note ? `: ${note}` : ""}`);
    passed++;
  } catch (err) {
    console.log(`FAILED  ${name}: ${err.body ? `${err.status} ${JSON.stringify(err.body)}` : err.stack ?? JSON.stringify(err)}`);
  }
}
const failed = Object.keys(operations).length - passed;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
