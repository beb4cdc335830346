// Stories of records: what is put stays, once, under its writer's reference and in its order.
"use strict";

const assert = require("node:assert/strict");
const { createHash, randomBytes } = require("node:crypto");
const { after, before, test } = require("node:test");
const { Rig, fresh, freshDigest } = require("./rig");

let rig;
let writer;
let other;

before(async () => {
  rig = await Rig.open();
  [writer, other] = await rig.newClients(2);
});
after(() => rig?.stop());

test("a digest is read back under its reference, with transaction, writer and time", async () => {
  const [reference, digest] = [fresh(), freshDigest()];
  const tx = await writer.submit("Anchor", reference, digest);
  const row = await writer.row("anchor", reference);
  const { account, msp } = writer;
  assert.deepEqual(Object.keys(row), Object.keys(row).toSorted());
  assert.equal(row.digest, digest);
  assert.equal(row.tx, tx);
  assert.deepEqual([row.owner, row.by.account, row.by.msp], [account, account, msp]);
  assert.match(row.by.id, new RegExp(`^x509::.*/CN=${writer.name}::`));
  assert.match(row.at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test("the same digest again is valid, changes nothing and tells nothing", async () => {
  const [reference, digest] = [fresh(), freshDigest()];
  const first = await writer.submit("Anchor", reference, digest);
  const second = await writer.submit("Anchor", reference, digest);
  assert.notEqual(first, second);
  assert.equal((await writer.row("anchor", reference)).tx, first);
  assert.equal((await writer.inBlock(first)).event.eventName, "Anchored");
  const { status, event } = await writer.inBlock(second);
  assert.deepEqual([status, event.eventName, event.payload], ["VALID", "", null]);
});

test("another digest under a reference is a conflict that names the stored hash", async () => {
  const reference = fresh();
  await writer.submit("Anchor", reference, freshDigest());
  const { hash } = await writer.row("anchor", reference);
  const { code, text } = await writer.refusal("Anchor", reference, freshDigest());
  assert.equal(code, "CONFLICT");
  assert.equal(text, `anchor ${reference} exists with hash ${hash}`);
});

test("a root stands under itself with its count", async () => {
  const root = freshDigest();
  const tx = await writer.submit("AnchorRoot", root, "4294967295");
  const row = await writer.row("root", root);
  assert.deepEqual([row.count, row.tx, row.reference], [4294967295, tx, root]);
  assert.equal((await writer.refusal("AnchorRoot", root, "3")).code, "CONFLICT");
});

test("nobody can take another's reference", async () => {
  const [reference, mine, theirs] = [fresh(), freshDigest(), freshDigest()];
  await other.submit("Anchor", reference, theirs);
  await writer.submit("Anchor", reference, mine);
  assert.equal((await writer.row("anchor", reference)).digest, mine);
  assert.equal((await writer.query("Get", "anchor", other.account, reference)).digest, theirs);
});

test("records hang together in their chain, and in no other order", async () => {
  const chain = fresh("order");
  const references = [fresh(), fresh(), fresh()];
  for (const [at, reference] of references.entries()) {
    await put(writer, reference, chain, at + 1, { at });
  }
  const { links, more } = await writer.query("GetChain", writer.account, chain, "1");
  assert.deepEqual(links.map(({ reference }) => reference), references);
  assert.equal(more, false);
  let prev = `0x${"0".repeat(64)}`;
  for (const { digest, kind, link, reference, seq } of links) {
    const fields = { chain, digest, kind, owner: writer.account, prev, reference, seq };
    assert.equal(link, sha256(JSON.stringify(fields)), "a link is the hash of what it says");
    assert.equal((await writer.row("record", reference)).prev, prev);
    prev = link;
  }
  const head = await writer.query("GetHead", writer.account, chain);
  assert.deepEqual([head.seq, head.link], [3, prev]);
  for (const wrong of ["3", "5"]) {
    const { code, text } = await writer.refusal("PutRecord", fresh(), chain, wrong, "order", "{}");
    assert.equal(code, "OUT_OF_ORDER");
    assert.match(text, /goes on with 4/);
  }
});

test("a chain that nobody began has a head of zero, and no records", async () => {
  const chain = fresh("order");
  const head = await writer.query("GetHead", writer.account, chain);
  assert.deepEqual([head.seq, head.link], [0, `0x${"0".repeat(64)}`]);
  const { links, more } = await writer.query("GetChain", writer.account, chain, "1");
  assert.deepEqual([links, more], [[], false]);
});

test("a record is the same in whatever order its fields are written", async () => {
  const [reference, chain] = [fresh(), fresh("order")];
  const args = (body) => ["PutRecord", reference, chain, "1", "order", body];
  const first = await writer.submit(...args('{"b": [1, {"y":"é","x":null}], "a": true}'));
  await writer.submit(...args('{"a":true,"b":[1,{"x":null,"y":"\\u00e9"}]}'));
  const row = await writer.row("record", reference);
  assert.equal(row.tx, first);
  assert.deepEqual(row.body, { a: true, b: [1, { x: null, y: "é" }] });
  const bytes = 'sdpp/public\0{"a":true,"b":[1,{"x":null,"y":"é"}]}';
  assert.equal(row.digest, sha256(bytes));
  assert.equal((await writer.refusal(...args('{"a":true}'))).code, "CONFLICT");
});

test("of two that go on with a chain at once, one does", async () => {
  const chain = fresh("order");
  const tries = ["a", "b"].map((body) =>
    writer.trySubmit("PutRecord", fresh(), chain, "1", "order", JSON.stringify(body)));
  const answers = await Promise.all(tries);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 500]);
  const { error } = answers.find(({ status }) => status === 500).body;
  assert.match(error, /OUT_OF_ORDER|MVCC_READ_CONFLICT/);
});

test("twenty orders at once do not touch each other, of one buyer or of twenty", async () => {
  const twenty = await rig.newClients(20, { account: false });
  for (const buyers of [Array(20).fill(writer), twenty]) {
    const txs = await Promise.all(
      buyers.map((buyer) => buyer.submit("PutRecord", fresh(), fresh("order"), "1", "order", "{}")),
    );
    assert.equal(new Set(txs).size, 20);
    assert.deepEqual(await writer.codesAround(txs), ["VALID"], "one had to be tried twice");
  }
});

test("a private body is in the collection alone, and its public digest is salted", async () => {
  const [reference, chain, secret] = [fresh(), fresh("order"), fresh("secret")];
  const salt = randomBytes(32).toString("hex");
  const map = { body: `{"z":1,"price":"${secret}"}`, salt };
  const args = ["PutPrivateRecord", reference, chain, "1", "invoice"];
  const tx = await writer.submitWith(map, ...args);
  const row = await writer.row("record", reference);
  assert.equal(row.body, undefined);
  const bytes = Buffer.concat([
    Buffer.from("sdpp/private\0"),
    Buffer.from(salt, "hex"),
    Buffer.from(`{"price":"${secret}","z":1}`),
  ]);
  assert.equal(row.digest, sha256(bytes));
  const kept = await writer.query("GetPrivateRecord", writer.account, reference);
  assert.deepEqual(kept, {
    body: { price: secret, z: 1 },
    digest: row.digest,
    matches: true,
    salt,
  });
  const shown = await rig.lookup(`blockByTxId/${tx}`, writer.name);
  const { event } = await writer.inBlock(tx);
  const told = Buffer.from(event.payload, "base64").toString("utf8");
  for (const text of [shown.text, told, JSON.stringify(row)]) {
    assert.ok(!text.includes(secret) && !text.includes(salt), "it is public");
  }
  // The same again is no-op, another salt is another record.
  await writer.submitWith(map, ...args);
  assert.equal((await writer.row("record", reference)).tx, tx);
  const salted = { ...map, salt: randomBytes(32).toString("hex") };
  assert.match((await writer.tryWith(salted, ...args)).text, /CONFLICT: record /);
});

test("a private record needs a body and a salt, and the salt is not repeated", async () => {
  const args = () => ["PutPrivateRecord", fresh(), fresh("order"), "1", "invoice"];
  const salt = "5a17".repeat(15);
  for (const [map, said] of [
    [{}, /BAD_ARGUMENT: transientMap has no body/],
    [{ body: "{}" }, /BAD_ARGUMENT: transientMap has no salt/],
    [{ body: "{}", salt }, /BAD_ARGUMENT: salt must be 32 random bytes/],
    [{ body: "{private", salt }, /BAD_ARGUMENT: body is not JSON/],
  ]) {
    const { status, text } = await writer.tryWith(map, ...args());
    assert.equal(status, 500);
    assert.match(text, said);
    assert.ok(!text.includes(salt) && !text.includes("{private"), text);
  }
  const reference = fresh();
  await writer.submit("PutRecord", reference, fresh("order"), "1", "order", "{}");
  const { code } = await writer.queryRefusal("GetPrivateRecord", writer.account, reference);
  assert.equal(code, "NOT_FOUND");
});

test("an event tells of a record without its body", async () => {
  const reference = fresh();
  const tx = await put(writer, reference, fresh("order"), 1, { words: "kept apart" });
  const { event } = await writer.inBlock(tx);
  const told = JSON.parse(Buffer.from(event.payload, "base64"));
  assert.equal(event.eventName, "Recorded");
  assert.deepEqual([told.reference, told.owner, told.tx], [reference, writer.account, tx]);
  assert.equal(told.body, undefined);
});

const GOOD = { reference: "r", chain: "c", seq: "1", kind: "order", body: "{}" };
const deep = (levels) => "[".repeat(levels) + "]".repeat(levels);

for (const [what, change, code] of [
  ["an empty reference", { reference: "" }, "BAD_ARGUMENT"],
  ["a reference with a blank", { reference: "a b" }, "BAD_ARGUMENT"],
  ["a reference that is not ASCII", { reference: "é" }, "BAD_ARGUMENT"],
  ["a reference of 129 characters", { reference: "x".repeat(129) }, "BAD_ARGUMENT"],
  ["a reference with a zero byte", { reference: "a\0b" }, "BAD_ARGUMENT"],
  ["a chain of 129 characters", { chain: "x".repeat(129) }, "BAD_ARGUMENT"],
  ["a place of zero", { seq: "0" }, "BAD_ARGUMENT"],
  ["a place with a leading zero", { seq: "01" }, "BAD_ARGUMENT"],
  ["a place of 2^32", { seq: "4294967296" }, "BAD_ARGUMENT"],
  ["a kind in capitals", { kind: "Order" }, "BAD_ARGUMENT"],
  ["a kind of 33 characters", { kind: "x".repeat(33) }, "BAD_ARGUMENT"],
  ["a body that is not JSON", { body: "{" }, "BAD_ARGUMENT"],
  ["a body with a fraction", { body: "[0.5]" }, "BAD_ARGUMENT"],
  ["a body with a minus zero", { body: "[-0]" }, "BAD_ARGUMENT"],
  ["a body with 2^53", { body: "[9007199254740992]" }, "BAD_ARGUMENT"],
  ["a body with an endless number", { body: "[1e400]" }, "BAD_ARGUMENT"],
  ["a body of 16,385 bytes", { body: JSON.stringify("x".repeat(16_383)) }, "TOO_LARGE"],
  ["a body of 17 levels", { body: deep(17) }, "TOO_LARGE"],
]) {
  test(`${what} is refused`, async () => {
    const { reference, chain, seq, kind, body } = { ...GOOD, ...change };
    const refused = await writer.refusal("PutRecord", reference, chain, seq, kind, body);
    assert.equal(refused.code, code);
  });
}

test("what stands just within the limits is taken", async () => {
  const body = JSON.stringify("x".repeat(16_382));
  const names = () => [fresh().padEnd(128, "!"), fresh().padEnd(128, "~")];
  await writer.submit("PutRecord", ...names(), "1", "k".repeat(32), body);
  await writer.submit("PutRecord", ...names(), "1", "order", deep(16));
  await writer.submit("PutRecord", ...names(), "1", "order", "[9007199254740991,-1]");
});

test("fields with odd names are kept as they are", async () => {
  const reference = fresh();
  const body = '{"__proto__":{"admin":true},"constructor":"x","toString":null}';
  await writer.submit("PutRecord", reference, fresh("order"), "1", "order", body);
  const row = await writer.row("record", reference);
  assert.equal(JSON.stringify(row.body), body);
});

for (const [what, func, ...args] of [
  ["a digest in capitals", "Anchor", "r", `0x${"A".repeat(64)}`],
  ["a digest of 31 bytes", "Anchor", "r", `0x${"a".repeat(62)}`],
  ["a digest without 0x", "Anchor", "r", "a".repeat(64)],
  ["a root that is none", "AnchorRoot", "r", "1"],
  ["a count of zero", "AnchorRoot", `0x${"a".repeat(64)}`, "0"],
  ["a count of 2^32", "AnchorRoot", `0x${"a".repeat(64)}`, "4294967296"],
]) {
  test(`${what} is refused`, async () => {
    assert.equal((await writer.refusal(func, ...args)).code, "BAD_ARGUMENT");
  });
}

test("what is not there is not found, and what is no type of row is said to be none", async () => {
  const missing = fresh();
  const { code, text } = await writer.queryRefusal("Get", "anchor", writer.account, missing);
  assert.deepEqual([code, text], ["NOT_FOUND", `anchor ${writer.account} ${missing}`]);
  for (const type of ["balance", "constructor", "account", ""]) {
    const refused = await writer.queryRefusal("Get", type, writer.account, "r");
    assert.equal(refused.code, "BAD_ARGUMENT");
  }
  assert.equal((await writer.queryRefusal("Get", "anchor", "nobody", "r")).code, "BAD_ARGUMENT");
});

test("a wrong number of arguments and an unknown function are refused by the shim", async () => {
  const few = await writer.trySubmit("Anchor", "r");
  assert.match(few.text, /Description: Expected 2 parameters, but 1 have been supplied/);
  const none = await writer.tryQuery("Nope");
  assert.match(none.text, /: You've asked to invoke a function that does not exist: Nope/);
});

async function put(client, reference, chain, seq, body) {
  return client.submit("PutRecord", reference, chain, `${seq}`, "order", JSON.stringify(body));
}

function sha256(bytes) {
  return `0x${createHash("sha256").update(bytes).digest("hex")}`;
}
