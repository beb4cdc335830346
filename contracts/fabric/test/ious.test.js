// Stories of IOUs: promised, passed on, redeemed, discharged and netted, each once.
"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { Rig, fresh } = require("./rig");

let rig;
let admin;
let ann;
let bob;
let carl;
let asset;

before(async () => {
  rig = await Rig.open();
  admin = await rig.newAdmin();
  [ann, bob, carl] = await rig.newClients(3);
  asset = `${admin.msp}/T${fresh("").slice(1, 9)}`;
});
after(() => rig?.stop());

test("an IOU is owed to its holder, and its row names its transaction", async () => {
  const [unit, reference] = [newUnit(), fresh()];
  const owe = ["Owe", reference, bob.account, unit, "30"];
  const tx = await ann.submit(...owe);
  const again = await ann.submit(...owe);
  assert.equal((await ann.inBlock(tx)).event.eventName, "Owed");
  assert.equal((await ann.inBlock(again)).event.payload, null);
  const row = await bob.query("Get", "iou", ann.account, reference);
  assert.deepEqual([row.to, row.unit, row.amount, row.tx], [bob.account, unit, "30", tx]);
  const debt = await bob.query("GetIou", ann.account, reference);
  assert.deepEqual([debt.holder, debt.open], [bob.account, "30"]);
  assert.equal((await ann.refusal("Owe", reference, bob.account, unit, "31")).code, "CONFLICT");
  await isOwed(ann, bob, unit, 30n);
});

test("nobody owes itself, a stranger, nothing, or without an account", async () => {
  const owe = (client, to, amount = "1") => client.refusal("Owe", fresh(), to, newUnit(), amount);
  const nobody = `${ann.msp}:${"0".repeat(64)}`;
  assert.equal((await owe(ann, ann.account)).code, "BAD_ARGUMENT");
  assert.equal((await owe(ann, nobody)).code, "NO_SUCH_ACCOUNT");
  assert.equal((await owe(ann, bob.account, "0")).code, "BAD_ARGUMENT");
  const newcomer = await rig.newClient({ account: false });
  assert.equal((await owe(newcomer, bob.account)).code, "NO_SUCH_ACCOUNT");
  const { code } = await ann.refusal("Owe", fresh(), bob.account, "a b", "1");
  assert.equal(code, "BAD_ARGUMENT");
});

test("a holder passes an IOU on, once, and then has it no more", async () => {
  const [unit, pass] = [newUnit(), fresh()];
  const iou = await owes(ann, bob, unit, 12);
  const args = ["PassIou", pass, ann.account, iou, carl.account];
  const tx = await bob.submit(...args);
  await bob.submit(...args);
  const row = await bob.row("pass", pass);
  const said = [row.amount, row.unit, row.to, row.tx];
  assert.deepEqual(said, ["12", unit, carl.account, tx]);
  await isOwed(ann, carl, unit, 12n);
  assert.equal((await bob.query("GetIous", bob.account, unit)).held.total, "0");
  assert.equal((await ann.query("GetIou", ann.account, iou)).holder, carl.account);
  const back = await bob.refusal("PassIou", fresh(), ann.account, iou, bob.account);
  assert.equal(back.code, "NOT_ALLOWED");
  // What was promised first stays to be read, as it pays for something.
  assert.equal((await ann.row("iou", iou)).to, bob.account);
});

test("an IOU is passed to neither its debtor nor its holder nor a stranger", async () => {
  const iou = await owes(ann, bob, newUnit(), 1);
  const pass = (to) => bob.refusal("PassIou", fresh(), ann.account, iou, to);
  assert.equal((await pass(ann.account)).code, "BAD_ARGUMENT");
  assert.equal((await pass(bob.account)).code, "BAD_ARGUMENT");
  assert.equal((await pass(`${ann.msp}:${"0".repeat(64)}`)).code, "NO_SUCH_ACCOUNT");
  const missing = await bob.refusal("PassIou", fresh(), ann.account, fresh(), carl.account);
  assert.equal(missing.code, "NOT_FOUND");
});

test("a debtor redeems an IOU in money, to whoever holds it, once", async () => {
  const iou = await owes(ann, bob, asset, 20);
  await bob.submit("PassIou", fresh(), ann.account, iou, carl.account);
  const redeem = ["RedeemIou", fresh(), iou];
  assert.equal((await ann.refusal(...redeem)).code, "INSUFFICIENT_FUNDS");
  await fund(ann, 25);
  const before = await carl.total(asset);
  const tx = await ann.submit(...redeem);
  await ann.submit(...redeem);
  assert.equal(await carl.total(asset), before + 20n);
  assert.equal(await ann.total(asset), 5n);
  const row = await ann.row("redemption", redeem[1]);
  assert.deepEqual([row.amount, row.to, row.tx], ["20", carl.account, tx]);
  await isOwed(ann, carl, asset, 0n);
  assert.equal((await ann.refusal("RedeemIou", fresh(), iou)).code, "IOU_CLOSED");
  const pass = await carl.refusal("PassIou", fresh(), ann.account, iou, bob.account);
  assert.equal(pass.code, "IOU_CLOSED");
});

test("an IOU in a unit that is no asset is not redeemed in money", async () => {
  const iou = await owes(ann, bob, "hours", 1);
  assert.equal((await ann.refusal("RedeemIou", fresh(), iou)).code, "BAD_ARGUMENT");
});

test("only its holder says that an IOU is owed no more", async () => {
  const unit = newUnit();
  const iou = await owes(ann, bob, unit, 8);
  for (const client of [ann, carl]) {
    const { code } = await client.refusal("DischargeIou", fresh(), ann.account, iou);
    assert.equal(code, "NOT_ALLOWED");
  }
  const reference = fresh();
  await bob.submit("DischargeIou", reference, ann.account, iou);
  await bob.submit("DischargeIou", reference, ann.account, iou);
  const { amount, unit: of } = await bob.row("discharge", reference);
  assert.deepEqual([amount, of], ["8", unit]);
  assert.equal((await ann.query("GetIou", ann.account, iou)).open, "0");
  await isOwed(ann, bob, unit, 0n);
});

test("two that owe each other net it down to what is left on one side", async () => {
  const unit = newUnit();
  const mine = [await owes(ann, bob, unit, 30), await owes(ann, bob, unit, 50)];
  const theirs = [await owes(bob, ann, unit, 45)];
  const net = ["NetIous", fresh(), bob.account, unit, JSON.stringify(mine), JSON.stringify(theirs)];
  const tx = await ann.submit(...net);
  await ann.submit(...net);
  const row = await ann.row("netting", net[1]);
  assert.deepEqual([row.amount, row.tx], ["45", tx]);
  const open = async (debtor, iou) => (await ann.query("GetIou", debtor.account, iou)).open;
  assert.deepEqual([await open(ann, mine[0]), await open(ann, mine[1])], ["0", "35"]);
  assert.equal(await open(bob, theirs[0]), "0");
  await isOwed(ann, bob, unit, 35n);
  await isOwed(bob, ann, unit, 0n);
  const again = ["NetIous", fresh(), ...net.slice(2)];
  assert.equal((await ann.refusal(...again)).code, "IOU_CLOSED");
});

test("a netting names open IOUs between its two parties in its unit, nothing else", async () => {
  const unit = newUnit();
  const mine = await owes(ann, bob, unit, 1);
  const theirs = await owes(bob, ann, unit, 1);
  const net = (left, right, of = unit, other = bob.account) =>
    ann.refusal("NetIous", fresh(), other, of, JSON.stringify(left), JSON.stringify(right));
  const toCarl = await owes(ann, carl, unit, 1);
  assert.equal((await net([toCarl], [theirs])).code, "NOTHING_TO_NET");
  assert.equal((await net([mine], [theirs], newUnit())).code, "NOTHING_TO_NET");
  assert.equal((await net([mine], [theirs], unit, carl.account)).code, "NOTHING_TO_NET");
  assert.equal((await net([theirs], [mine])).code, "NOT_FOUND");
  assert.equal((await net([mine], [])).code, "TOO_MANY");
  assert.equal((await net([mine, mine], [theirs])).code, "BAD_ARGUMENT");
  assert.equal((await net([mine], [5])).code, "BAD_ARGUMENT");
  const many = Array.from({ length: 51 }, (_, at) => `iou-${at}`);
  assert.equal((await net([mine], many)).code, "TOO_MANY");
  await bob.submit("PassIou", fresh(), ann.account, mine, carl.account);
  assert.equal((await net([mine], [theirs])).code, "NOTHING_TO_NET");
  await isOwed(bob, ann, unit, 1n);
});

function newUnit() {
  return `U${fresh("").slice(1, 13)}`;
}

async function owes(debtor, holder, unit, amount) {
  const reference = fresh("iou");
  await debtor.submit("Owe", reference, holder.account, unit, `${amount}`);
  return reference;
}

// What one owes and the other holds, in a unit that nobody else uses.
async function isOwed(debtor, holder, unit, amount) {
  const { owed } = await holder.query("GetIous", debtor.account, unit);
  const { held } = await holder.query("GetIous", holder.account, unit);
  assert.deepEqual([owed.total, held.total], [`${amount}`, `${amount}`]);
}

async function fund(client, amount) {
  const tx = await admin.submit("Mint", fresh(), client.account, asset, `${amount}`);
  await client.submit("Sweep", fresh(), asset, JSON.stringify([tx]));
}
