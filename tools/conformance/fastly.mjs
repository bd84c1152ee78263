// The npm package "fastly", Fastly's generated client.
import assert from "node:assert/strict";
import Fastly from "fastly";
import * as h from "./harness.mjs";

// client returns an ApiClient of a server. The package takes its host from the
// API's description and knows no option for another.
function client(key, url = h.TEST_URL) {
  const c = new Fastly.ApiClient();
  if (key) c.authenticate(key);
  c.plugins = [(request) => {
    assert.ok(request.url.startsWith("https://api.fastly.com/"), request.url);
    request.url = url + request.url.slice("https://api.fastly.com".length);
  }];
  return c;
}

const tokens = (key, url) => new Fastly.TokensApi(client(key, url));

// byBasic returns an API that authenticates by user name and password.
function byBasic() {
  const c = client();
  Object.assign(c.authentications.username_and_password, { username: h.TEST_LOGIN, password: h.TEST_PASSWORD });
  return new Fastly.TokensApi(c);
}

// byForm sends a login in the form, as the API's documentation shows. The package's
// createToken has no fields, so this is what it is made of.
async function byForm(fields) {
  const { data } = await client().callApi("/tokens", "POST", {}, {}, {}, {},
    { username: h.TEST_LOGIN, password: h.TEST_PASSWORD, ...fields }, null, [],
    ["application/x-www-form-urlencoded"], ["application/json"],
    Fastly.TokenCreatedResponse, "https://api.fastly.com");
  return data;
}

// refused checks that the call is refused with the status and message.
async function refused(call, status, msg) {
  await assert.rejects(call, (err) => {
    assert.equal(err.status, status);
    if (msg) assert.equal(err.body.msg, msg);
    return true;
  });
}

const created = []; // by the first step, used by those after it
const own = tokens(h.TEST_KEY);

await h.run("fastly", {
  async CreateToken() {
    const sudo = new Fastly.SudoApi(client(h.TEST_KEY));
    const confirm = (password) => sudo.requestSudoAccess({ sudo_request: { username: h.TEST_LOGIN, password } });
    await refused(own.createToken(), 403, "You must POST /sudo to access this endpoint");
    await refused(confirm("wrong"), 403, h.forbidden);
    const until = (await confirm(h.TEST_PASSWORD)).expiry_time - Date.now();
    assert.ok(until > 0 && until <= 5 * 60 * 1000, `confirmed for ${until} ms`);
    created.push(await own.createToken(), await byBasic().createToken());
    created.push(await byForm({ name: "ci", scope: "purge_all purge_select", "services[]": ["A1", "B2"] }));
    for (const token of created) assert.match(token.access_token, /^[\w-]{32}$/);
    h.isToken(created[0]);
    h.isToken(created[1]);
    h.isToken(created[2], ["A1", "B2"]);
    assert.equal(created[0].scope, "global");
    assert.equal(created[2].scope, "purge_all purge_select");
    assert.equal(created[2].name, "ci");
    assert.equal(new Set(created.map(h.id)).size, 3);
    return "by a key after `POST /sudo`, and by HTTP Basic; by a login in the form only through its `callApi`, since its method sends no fields";
  },
  async GetToken() {
    const token = await own.getToken({ token_id: created[2].id });
    h.isToken(token, ["A1", "B2"]);
    assert.equal(token.scope, "purge_all purge_select");
    assert.equal(token.name, "ci");
  },
  async GetTokenCurrent() {
    const token = await tokens(created[2].access_token).getTokenCurrent();
    assert.equal(token.id, created[2].id);
    assert.match(token.user_agent, /^fastly-js/);
  },
  async ListTokensUser() {
    const list = await own.listTokensUser();
    assert.equal(list.length, 4);
    list.filter((t) => t.id !== created[2].id).forEach((t) => h.isToken(t));
    for (const token of created) assert.ok(list.map(h.id).includes(token.id));
  },
  async ListTokensCustomer() {
    const list = await own.listTokensCustomer({ customer_id: h.TEST_CUSTOMER });
    assert.deepEqual(list.map(h.id).sort(), (await own.listTokensUser()).map(h.id).sort());
  },
  async BulkRevokeTokens() {
    const data = created.slice(0, 2).map(({ id }) => ({ type: "token", id }));
    await own.bulkRevokeTokens({ request_body: { data } });
    for (const token of created.slice(0, 2)) {
      await refused(own.getToken({ token_id: token.id }), 404, "Record not found");
      await refused(tokens(token.access_token).getTokenCurrent(), 401, h.unauthorized);
    }
  },
  async RevokeToken() {
    await own.revokeToken({ token_id: created[2].id });
    await refused(own.revokeToken({ token_id: created[2].id }), 404, "Record not found");
  },
  async RevokeTokenCurrent() {
    const one = await byForm({ name: "self" });
    await tokens(one.access_token).revokeTokenCurrent();
    await refused(tokens(one.access_token).revokeTokenCurrent(), 401, h.unauthorized);
  },
  "error 400": () => refused(tokens().createToken(), 400, "Bad request"),
  "error 401": () => refused(tokens("unknown").createToken(), 401, h.unauthorized),
  async "error 403"() {
    const one = await byForm({ name: "purge", scope: "purge_all" });
    await refused(tokens(one.access_token).listTokensUser(), 403);
  },
  "error 404": () => refused(own.getToken({ token_id: "none" }), 404, "Record not found"),
  "error 422": () => refused(byForm({ name: "ci", expires_at: "soon" }), 422),
  async "error 429"() {
    const broken = tokens(h.TEST_BROKEN_KEY, h.TEST_BROKEN_URL);
    await refused(broken.revokeToken({ token_id: "none" }), 404);
    await refused(broken.revokeToken({ token_id: "none" }), 429,
      "You have exceeded your hourly rate limit. Please contact support@fastly.com if you think this is a mistake.");
  },
  "error 503": () => refused(tokens(h.TEST_BROKEN_KEY, h.TEST_BROKEN_URL).listTokensUser(), 503),
});
