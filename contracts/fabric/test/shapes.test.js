// The double's answers beside those that a real FabConnect v0.10.0 gave (recorded.json, trimmed):
// the same status, type, fields, order of fields and types, and the same texts letter for letter
// but for names and addresses.
"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const recorded = require("./recorded.json");
const { Rig, fresh, freshDigest } = require("./rig");

let rig;
let seller;

before(async () => {
  rig = await Rig.double({ inFlight: 50 });
  seller = await rig.client("seller").begin();
});
after(() => rig?.stop());

// What was asked can be asked of the double just so, and is answered just so.
for (const name of [
  "status",
  "unknown function",
  "unknown transaction",
  "unknown tx of block",
  "no such block",
  "bad block number",
  "no receipt",
  "too many receipts",
  "no chaincode",
  "no channel",
  "no signer",
  "no args",
  "bad sync",
  "query without func",
  "not json",
  "unknown signer",
  "unknown channel",
  "unknown chaincode",
  "query of unknown chaincode",
  "subscription without channel",
  "unknown stream type",
  "no such stream",
  "register without name",
  "register unknown field",
  "no such identity",
]) {
  test(`${name}: answered as recorded`, async () => {
    const { answer } = recorded[name];
    const got = await replay(name);
    assert.equal(got.status, answer.status);
    assert.equal(got.headers.get("content-type"), answer.type);
    assert.deepEqual(got.body, ours(answer.body));
    assert.equal(got.text, JSON.stringify(got.body), "errors are not indented");
  });
}

for (const name of ["number as arg", "no func"]) {
  test(`${name}: the socket is closed with no answer`, async () => {
    assert.equal(recorded[name].answer, null);
    await assert.rejects(replay(name), { message: "fetch failed" });
  });
}

test("a path that is none is answered as recorded", async () => {
  const { answer } = recorded["no such path"];
  const got = await replay("no such path");
  const said = [got.status, got.headers.get("content-type"), got.text.trim()];
  assert.deepEqual(said, [answer.status, answer.type, answer.text]);
  assert.equal(got.headers.get("x-content-type-options"), "nosniff");
});

test("a submit is answered in the recorded shape", async () => {
  const got = await seller.trySubmit("Anchor", fresh(), freshDigest());
  sameShape(got, "submit");
  const { headers, status, signer, signerMSP } = got.body;
  const said = [headers.type, headers.requestId, status, signer, signerMSP];
  assert.deepEqual(said, ["TransactionSuccess", "", "VALID", "seller", "Org1MSP"]);
});

test("a question is answered in the recorded shape", async () => {
  const got = await seller.tryQuery("WhoAmI");
  const whoAmI = recorded["parameters in body"].answer.body;
  assert.deepEqual(got.body.headers, ours(whoAmI.headers));
  assert.deepEqual(Object.keys(got.body), Object.keys(whoAmI));
  const { id, msp } = got.body.result;
  assert.deepEqual([typeof id, msp], [typeof whoAmI.result.id, "Org1MSP"]);
  assert.match(id, /^x509::\/OU=client\/CN=seller::\/C=US\/ST=California\/L=San Francisco\/O=/);
});

test("a refusal of the chaincode stands behind the recorded words", async () => {
  const reference = fresh();
  await seller.submit("Anchor", reference, freshDigest());
  const refused = await seller.trySubmit("Anchor", reference, freshDigest());
  sameUpTo("Description: ", refused, "conflict");
  const asked = await seller.tryQuery("Get", "anchor", seller.account, fresh());
  sameUpTo("Description: ", asked, "query refused");
});

test("a transaction is shown in the recorded shape, without its code", async () => {
  const tx = await seller.submit("Anchor", fresh(), freshDigest());
  const got = await rig.lookup(`transactions/${tx}`);
  sameShape(got, "transaction");
  const { raw, transaction } = got.body.result;
  assert.deepEqual([transaction.tx_id, transaction.status], [tx, ""]);
  // Nanoseconds since 1970 to the last digit, more than JavaScript's numbers hold.
  const times = new Set(got.text.match(/(?<="timestamp": "?)[^,"\n]+/g));
  assert.equal(times.size, 1);
  assert.match([...times][0], /^\d{19}$/);
  const { nonce } = raw.payload.header.signature_header;
  assert.equal(Buffer.from(transaction.nonce, "hex").toString("ascii"), nonce);
});

test("a block is shown in the recorded shape, with its transactions' codes", async () => {
  const tx = await seller.submit("Anchor", fresh(), freshDigest());
  const byTx = await rig.lookup(`blockByTxId/${tx}`);
  sameShape(byTx, "block by tx");
  const { block } = byTx.body.result;
  const byNumber = await rig.lookup(`blocks/${block.block_number}`);
  sameShape(byNumber, "block");
  assert.equal(byNumber.text, byTx.text);
  const before = await rig.lookup(`blocks/${block.block_number - 1}`);
  const info = await rig.lookup("chaininfo");
  sameShape(info, "chain info");
  const { current_block_hash: _, ...known } = info.body.result;
  assert.deepEqual(known, {
    height: block.block_number + 1,
    previous_block_hash: block.previous_hash,
  });
  assert.notEqual(before.body.result.block.previous_hash, block.previous_hash);
});

test("an invalid transaction is shown like any other, and its code only in its block", async () => {
  await rig.fault({ fault: "conflict", times: 4 });
  const refused = await seller.trySubmit("Anchor", fresh(), freshDigest());
  assert.equal(refused.status, 500);
  const { height } = (await rig.lookup("chaininfo")).body.result;
  const block = await rig.lookup(`blocks/${height - 1}`);
  sameShape(block, "block of invalid");
  const [{ tx_id: tx, status }] = block.body.result.block.transactions;
  assert.equal(status, "MVCC_READ_CONFLICT");
  const shown = await rig.lookup(`transactions/${tx}`);
  sameShape(shown, "invalid transaction");
  assert.deepEqual([shown.status, shown.body.result.transaction.status], [200, ""]);
});

test("what nobody waits for is answered at once, and its receipt comes later", async () => {
  const id = fresh("id");
  const sent = await later({ id }, "Anchor", fresh(), freshDigest());
  sameShape(sent, "async");
  assert.deepEqual(sent.body, { sent: true, id });
  sameShape(await receipt(id), "receipt");
  const list = await rig.request("GET", `/receipts?limit=2`);
  assert.match(list.body[0]._sequenceKey, /^z[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.deepEqual(shapeOf(list.body[0]), shapeOf(recorded.receipts.answer.body[0]));
});

test("there is no receipt of what is under way", async () => {
  await rig.fault({ fault: "freeze" });
  const id = fresh("id");
  await later({ id }, "Anchor", fresh(), freshDigest());
  const early = await rig.request("GET", `/receipts/${id}`);
  assert.deepEqual([early.status, early.body], sameAnswer("no receipt yet"));
  assert.match((await receipt(id)).body.errorMessage, /TIMEOUT/);
});

test("an error's receipt has the recorded shape and the request in it", async () => {
  const [good, bad, reference] = [fresh("id"), fresh("id"), fresh()];
  await later({ id: good }, "Anchor", reference, freshDigest());
  await receipt(good);
  await later({ id: bad }, "Anchor", reference, freshDigest());
  const got = await receipt(bad);
  sameShape(got, "error receipt");
  assert.match(got.body.errorMessage, /^Failed to submit: .* CONFLICT: anchor /);
  const request = JSON.parse(got.body.requestPayload);
  const was = JSON.parse(recorded["error receipt"].answer.body.requestPayload);
  assert.deepEqual(shapeOf(request), shapeOf(was));
  const both = await rig.request("GET", `/receipts?id=${good}&id=${bad}`);
  sameShape(both, "receipts by id");
});

test("an id that comes again is sent again, and its receipt is overwritten", async () => {
  const [id, reference, digest] = [fresh("id"), fresh(), freshDigest()];
  await later({ id }, "Anchor", reference, digest);
  const first = await receipt(id);
  await later({ id }, "Anchor", reference, digest);
  let second = await receipt(id);
  while (second.body.transactionHash === first.body.transactionHash) {
    second = await receipt(id);
  }
  assert.equal((await seller.row("anchor", reference)).tx, first.body.transactionHash);
});

test("without an id one is made, and with noack nothing is said", async () => {
  const made = await later({}, "Anchor", fresh(), freshDigest());
  assert.match(made.body.id, /^[0-9a-f-]{36}$/);
  await receipt(made.body.id);
  const { answer } = recorded["no ack"];
  const path = `/transactions${rig.as("seller", "&fly-sync=false&fly-noack=true")}`;
  const body = { headers: {}, func: "Anchor", args: [fresh(), freshDigest()] };
  const got = await rig.request("POST", path, body);
  const said = [got.status, got.headers.get("content-type"), got.text];
  assert.deepEqual(said, [answer.status, answer.type, ""]);
});

test("named arguments go by a schema, in its order", async () => {
  const schema = JSON.parse(recorded.schema.body).headers.payloadSchema;
  const names = ["reference", "chain", "seq", "kind", "body"];
  schema.prefixItems = names.map((name) => ({ name }));
  const args = { body: { qty: 3 }, kind: "order", seq: 1, chain: fresh(), reference: fresh() };
  const body = { headers: { payloadSchema: schema }, func: "PutRecord", args };
  const got = await rig.request("POST", `/transactions${rig.as("seller")}`, body);
  sameShape(got, "schema");
  assert.deepEqual((await seller.row("record", args.reference)).body, { qty: 3 });
});

test("identities are registered, enrolled and shown in the recorded shapes", async () => {
  const [name, attributes] = [fresh("u"), { role: "settler" }];
  const post = (path, body) => rig.request("POST", `/identities${path}`, body);
  const made = await post("", { name, type: "client", attributes, maxEnrollments: -1 });
  sameShape(made, "registered");
  const { secret } = made.body;
  const twice = await post("", { name });
  const text = recorded["registered twice"].answer.body.error.replace("u212241", name);
  assert.deepEqual([twice.status, twice.body.error], [500, text]);
  const enroll = (body) => post(`/${name}/enroll`, body);
  const without = await enroll({});
  assert.deepEqual([without.status, without.body], sameAnswer("enroll without secret"));
  const wrong = await enroll({ secret: "wrong" });
  assert.deepEqual([wrong.status, wrong.body], sameAnswer("enroll with wrong secret"));
  sameShape(await enroll({ secret, attributes: { role: true } }), "enrolled");
  sameShape(await rig.request("GET", `/identities/${name}`), "identity");
  const [last] = recorded.identities.answer.body.slice(-1);
  const list = (await rig.request("GET", "/identities")).body;
  assert.deepEqual(shapeOf(list.at(-1)), shapeOf(last));
  const put = await rig.request("PUT", `/identities/${name}`, { attributes: { role: "auditor" } });
  sameShape(put, "modified");
  sameShape(await post(`/${name}/reenroll`, { attributes: { role: false } }), "reenrolled");
});

test("each answer says that it comes from a double", async () => {
  for (const path of ["/status", "/nope", "/receipts/none"]) {
    const { headers } = await rig.request("GET", path);
    assert.match(headers.get("x-sdpp-double"), /^a test double/);
  }
});

// Sends a recorded request to the double, under the names that it has here.
async function replay(name) {
  const { request, body } = recorded[name];
  const [method, path] = request.split(" ");
  return rig.request(method, ours(path), body);
}

function ours(value) {
  const text = JSON.stringify(value)
    .replaceAll("settle", "sdpp")
    .replaceAll(/user[12]/g, "seller")
    .replaceAll("127.0.0.1:17051", "127.0.0.1:7051");
  return JSON.parse(text);
}

function sameAnswer(name) {
  const { status, body } = recorded[name].answer;
  return [status, body];
}

function sameShape(got, name) {
  const { status, type, body } = recorded[name].answer;
  assert.equal(got.status, status, got.text);
  assert.equal(got.headers.get("content-type"), type);
  assert.deepEqual(shapeOf(got.body), shapeOf(body));
}

function sameUpTo(word, got, name) {
  const { status, body } = recorded[name].answer;
  const until = (text) => text.slice(0, text.indexOf(word) + word.length);
  assert.equal(got.status, status);
  assert.equal(until(got.body.error), until(ours(body).error));
}

// Names in their order and types; of a list the first item's.
function shapeOf(value) {
  if (Array.isArray(value)) {
    return value.length > 0 ? [shapeOf(value[0])] : [];
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).map(([name, field]) => [name, shapeOf(field)]);
  }
  return value === null ? "null" : typeof value;
}

function later(headers, func, ...args) {
  const path = `/transactions${rig.as("seller", "&fly-sync=false")}`;
  const own = { type: "SendTransaction", ...headers };
  return rig.request("POST", path, { headers: own, func, args });
}

async function receipt(id) {
  for (;;) {
    const got = await rig.request("GET", `/receipts/${id}`);
    if (got.status !== 404) {
      return got;
    }
  }
}
