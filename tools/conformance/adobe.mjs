// The npm package "@adobe/fastly-native-promises", which creates tokens by JSON.
import assert from "node:assert/strict";
import fastly from "@adobe/fastly-native-promises";
import * as h from "./harness.mjs";

// The package takes its host from here and knows no option for another.
const { default: config } = await import("./node_modules/@adobe/fastly-native-promises/src/config.js");

// client returns a client of a server. It remembers what each path returned, so that
// each call needs a new one.
function client(key = h.TEST_KEY, url = h.TEST_URL) {
  config.mainEntryPoint = url;
  return fastly(key);
}

async function create(fields) {
  const { data } = await client().createToken({ username: h.TEST_LOGIN, password: h.TEST_PASSWORD, ...fields });
  return data;
}

// refused checks that the call is refused with the status and message.
async function refused(call, status, msg) {
  await assert.rejects(call, (err) => {
    assert.equal(err.status, status, err);
    if (msg) assert.equal(err.code, msg);
    return true;
  });
}

let created; // by the first step, used by those after it

await h.run("@adobe/fastly-native-promises", {
  async CreateToken() {
    created = await create({ name: "ci", scopes: ["purge_all", "purge_select"], services: ["A1", "B2"] });
    assert.match(created.access_token, /^[\w-]{32}$/);
    h.isToken(created, ["A1", "B2"]);
    assert.equal(created.scope, "purge_all purge_select");
    const spelled = await create({ name: "spelled", scope: "purge_all" });
    assert.equal(spelled.scope, "purge_all");
    await client().deleteToken(spelled.id);
    return "by a login, in JSON; not by a key, which its method never sends";
  },
  async GetToken() {
    const { data } = await client().request.get(`/tokens/${created.id}`);
    h.isToken(data, ["A1", "B2"]);
    assert.equal(data.name, "ci");
    assert.equal((await client().readToken(created.id)).data.id, created.id); // from the list
    return "only through its `request`: its method looks the ID up in the list";
  },
  async GetTokenCurrent() {
    const { data } = await client(created.access_token).readToken();
    assert.equal(data.id, created.id);
    assert.match(data.user_agent, /adobe-fetch/);
  },
  async ListTokensUser() {
    const { data } = await client().readTokens();
    assert.equal(data.length, 2);
    assert.ok(data.map(h.id).includes(created.id));
  },
  async ListTokensCustomer() {
    const user = (await client().readCurrentUser()).data;
    assert.equal(user.id, h.TEST_USER);
    assert.equal(user.customer_id, h.TEST_CUSTOMER);
    const { data } = await client().readTokens(user.customer_id);
    assert.deepEqual(data.map(h.id).sort(), (await client().readTokens()).data.map(h.id).sort());
    return "of the customer that `GET /current_user` names";
  },
  async BulkRevokeTokens() {
    const two = [await create({ name: "one", scope: "global" }), await create({ name: "two", scope: "global" })];
    await client().request.delete("/tokens", { data: two.map(({ id }) => ({ type: "token", id })) },
      { headers: { "content-type": "application/vnd.api+json; ext=bulk", accept: "application/vnd.api+json; ext=bulk" } });
    for (const token of two) await refused(client(token.access_token).readToken(), 401, h.unauthorized);
    return "only through its `request`: it has no method for it";
  },
  async RevokeToken() {
    await client().deleteToken(created.id);
    await refused(client().deleteToken(created.id), 404, "Record not found");
  },
  async RevokeTokenCurrent() {
    const one = await create({ name: "self", scope: "global" });
    await client(one.access_token).deleteToken("self");
    await refused(client(one.access_token).readToken(), 401, h.unauthorized);
    return "as `deleteToken(\"self\")`";
  },
  "error 400": () => refused(create({ name: "ci", password: "wrong" }), 400),
  "error 401": () => refused(client("unknown").readTokens(), 401, h.unauthorized),
  async "error 403"() {
    const one = await create({ name: "purge", scope: "purge_all" });
    await refused(client(one.access_token).readTokens(), 403);
  },
  "error 404": () => refused(client().deleteToken("none"), 404, "Record not found"),
  "error 422": () => refused(create({ name: "ci", scope: "purge_all", expires_at: "soon" }), 422),
  async "error 429"() {
    const broken = () => client(h.TEST_BROKEN_KEY, h.TEST_BROKEN_URL);
    await refused(broken().deleteToken("none"), 404);
    await refused(broken().deleteToken("none"), 429,
      "You have exceeded your hourly rate limit. Please contact support@fastly.com if you think this is a mistake.");
  },
  "error 503": () => refused(client(h.TEST_BROKEN_KEY, h.TEST_BROKEN_URL).readTokens(), 503),
});
