// Who is let in, where something stands in front of the gateway; and whose word counts for whom a
// call is made.
"use strict";

const assert = require("node:assert/strict");
const https = require("node:https");
const { after, before, test } = require("node:test");
const WebSocket = require("ws");
const { Rig, fresh } = require("./rig");

const BASIC = `Basic ${Buffer.from("sdpp:pass word").toString("base64")}`;
let rig;
let behindTls;

before(async () => {
  rig = await Rig.double({ bearer: "a-token", basic: "sdpp:pass word" });
  behindTls = await Rig.double({ tls: true });
});
after(() => Promise.all([rig?.stop(), behindTls?.stop()]));

test("only who knows the token or the password is let in", async () => {
  for (const [authorization, status] of [
    [undefined, 401],
    ["Bearer a-token", 200],
    ["bearer a-token", 200],
    [BASIC, 200],
    ["Bearer another", 401],
    ["Bearer a-toke", 401],
    ["Bearer", 401],
    ["a-token", 401],
    [BASIC.replace("Basic", "Bearer"), 401],
    ["Basic a-token", 401],
    [`Basic ${Buffer.from("sdpp:").toString("base64")}`, 401],
  ]) {
    rig.headers = authorization ? { authorization } : {};
    for (const path of ["/status", `/chaininfo${rig.as("seller")}`]) {
      const answer = await rig.request("GET", path);
      assert.equal(answer.status, status, `${authorization} ${path}`);
      if (status === 401) {
        assert.equal(answer.text, '{"error":"Unauthorized"}');
      }
    }
  }
});

test("the websocket has the same door", async () => {
  const opens = (headers) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${rig.network.url.replace("http", "ws")}/ws`, { headers });
      socket.once("open", () => resolve(true)).once("error", () => resolve(false));
      socket.once("open", () => socket.terminate());
    });
  assert.equal(await opens({}), false);
  assert.equal(await opens({ authorization: "Bearer a-token" }), true);
});

test("behind TLS, only a client with a certificate of the organisation is answered", async () => {
  const { ca, cert, key } = behindTls.network.tls;
  assert.match(behindTls.network.url, /^https:\/\/127\.0\.0\.1:/);
  assert.equal(await status({ ca, cert, key }), 200);
  await assert.rejects(status({ ca }), "without a certificate");
  const { tls: other } = (await otherNetwork()) ?? {};
  await assert.rejects(status({ ca, cert: other.cert, key: other.key }), "another's certificate");
  await assert.rejects(status({ ca: other.ca, cert, key }), "the server is not the other's");
});

test("a field of the body beats the query, which beats the header", async () => {
  rig.headers = { authorization: BASIC, "x-firefly-signer": "stranger" };
  const names = `fly-channel=sdpp&fly-chaincode=sdpp`;
  const whoAmI = async (query, headers) => {
    const body = { headers, func: "WhoAmI", args: [] };
    const answer = await rig.request("POST", `/query?${query}`, body);
    return answer.body.result.id.match(/CN=(\w+)::/)[1];
  };
  assert.equal(await whoAmI(names, {}), "stranger");
  assert.equal(await whoAmI(`${names}&FLY-Signer=seller`, {}), "seller");
  assert.equal(await whoAmI(`${names}&fly-signer=seller`, { signer: "buyer" }), "buyer");
  const inBody = { channel: "sdpp", chaincode: "sdpp", signer: "admin" };
  assert.equal(await whoAmI("fly-channel=nochan", inBody), "admin");
});

test("a body that is too large, or no object, is not read", async () => {
  rig.headers = { authorization: BASIC };
  const query = `/query${rig.as("seller")}`;
  const large = await rig.request("POST", query, `"${"x".repeat(1_048_576)}"`);
  const said = [large.status, large.body.error];
  assert.deepEqual(said, [400, "Message exceeds maximum allowable size"]);
  for (const body of ["[]", "5", "null", '{"headers":5}', '{"headers":{"signer":5}}']) {
    await assert.rejects(rig.request("POST", query, body), /fetch failed/);
  }
  const nested = { func: "WhoAmI", args: [["x"]] };
  await assert.rejects(rig.request("POST", query, nested), /fetch failed/);
  const map = { func: "WhoAmI", args: [], transientMap: { salt: ["x"] } };
  const submit = `/transactions${rig.as("seller")}`;
  await assert.rejects(rig.request("POST", submit, map), /fetch failed/);
  const odd = { func: "WhoAmI", args: "none" };
  await assert.rejects(rig.request("POST", query, odd), /fetch failed/);
  assert.equal((await rig.request("GET", `/receipts/${fresh()}`)).status, 404);
});

// Another organisation's certificates, which nobody here trusts.
async function otherNetwork() {
  const { Organisation } = require("../double/ca");
  const other = new Organisation("Org1MSP", "org1.example.com");
  const client = other.client("tls-client");
  const key = client.privateKey.export({ type: "pkcs8", format: "pem" });
  return { tls: { ca: other.certificate, cert: client.certificate, key } };
}

function status(tls) {
  return new Promise((resolve, reject) => {
    const options = { ...tls, agent: false };
    const request = https.get(`${behindTls.network.url}/status`, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.once("error", reject);
  });
}
