// What happens when many do something at once: what the rows are shaped for. The figures of the
// recorded network stand beside each.
"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { setTimeout: sleep } = require("node:timers/promises");
const { Rig, fresh } = require("./rig");

const MANY = 20;
const ROUNDS = 10;
const LISTS_MAX = 40;
let rig;
let admin;
let asset;

before(async () => {
  // Long enough that what is sent at once is in one block.
  rig = await Rig.open({ blockMs: 40 });
  admin = await rig.newAdmin();
  asset = `${admin.msp}/T${fresh("").slice(1, 9)}`;
});
after(() => rig?.stop());

test("twenty payers pay one payee at once: 20 of 20 valid, each at its first try", async () => {
  const [payee, ...payers] = await rig.newClients(MANY + 1);
  await Promise.all(payers.map((payer) => fund(payer, 10)));
  const txs = await Promise.all(
    payers.map((payer) => payer.submit("Pay", fresh(), payee.account, asset, "10")),
  );
  assert.deepEqual(await payee.codesAround(txs), ["VALID"]);
  assert.equal(await payee.total(asset), 200n);
});

test("one payer's spends wait for each other: few of twenty are valid, money adds up", async () => {
  const [payer, payee] = await rig.newClients(2);
  await fund(payer, 100);
  const pay = () => payer.trySubmit("Pay", fresh(), payee.account, asset, "5");
  const answers = await Promise.all(Array.from({ length: MANY }, pay));
  const valid = answers.filter(({ status }) => status === 200);
  // Recorded: 4 and 5 of 20. One goes in each block, and the gateway tries four times.
  assert.ok(valid.length >= 1 && valid.length < MANY, `${valid.length} valid`);
  const refused = answers.filter(({ status }) => status !== 200);
  const said = "Failed to submit: Event Server Status Code: (11) MVCC_READ_CONFLICT. " +
    "Description: received invalid transaction";
  assert.deepEqual([...new Set(refused.map(({ body }) => body.error))], [said]);
  const paid = BigInt(valid.length) * 5n;
  assert.deepEqual([await payer.total(asset), await payee.total(asset)], [100n - paid, paid]);
});

test("one payer's spends one after the other are all valid", async () => {
  const [payer, payee] = await rig.newClients(2);
  await fund(payer, 5);
  for (let left = 5; left > 0; left -= 1) {
    await payer.submit("Pay", fresh(), payee.account, asset, "1");
  }
  assert.equal(await payee.total(asset), 5n);
});

test("a hundred IOUs of one debtor at once are all valid, each at its first try", async () => {
  const [debtor, holder] = await rig.newClients(2);
  const unit = fresh("U").slice(0, 12);
  const owe = () => debtor.submit("Owe", fresh(), holder.account, unit, "3");
  const txs = await Promise.all(Array.from({ length: 100 }, owe));
  assert.deepEqual(await holder.codesAround(txs), ["VALID"]);
  const { held } = await holder.query("GetIous", holder.account, unit);
  assert.deepEqual([held.count, held.total], [100, "300"]);
});

test("the same payment sent twenty times at once moves its amount once", async () => {
  const [payer, payee] = await rig.newClients(2);
  await fund(payer, 100);
  const pay = ["Pay", fresh(), payee.account, asset, "7"];
  const answers = await Promise.all(Array.from({ length: MANY }, () => payer.trySubmit(...pay)));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(await payee.total(asset), 7n);
  const { tx } = await payer.row("payment", pay[1]);
  assert.ok(answers.some(({ body }) => body.transactionHash === tx));
});

test("a sweep by names and payments that come in meanwhile are all valid", async () => {
  const [payee, ...payers] = await rig.newClients(7);
  await Promise.all(payers.map((payer) => fund(payer, 2)));
  const pay = (payer) => payer.submit("Pay", fresh(), payee.account, asset, "1");
  await Promise.all(payers.map(pay));
  const txs = await Promise.all([...payers.map(pay), payee.sweep(asset)]);
  assert.deepEqual(await payee.codesAround(txs), ["VALID"]);
  const { balance, waiting } = await payee.query("GetBalance", payee.account, asset);
  assert.deepEqual([balance, waiting], ["6", "6"]);
});

test("a range that is read while a payment comes in is a phantom", async () => {
  const [payee, ...payers] = await rig.newClients(7);
  await Promise.all(payers.map((payer) => fund(payer, ROUNDS)));
  let codes = new Set();
  for (let round = 0; round < ROUNDS && !codes.has("PHANTOM_READ_CONFLICT"); round += 1) {
    const first = await height();
    const pay = (payer) => payer.submit("Pay", fresh(), payee.account, asset, "1");
    let isOver = false;
    const pays = Promise.all(payers.map(pay)).finally(() => (isOver = true));
    // Questions, submitted as if they were none: that is why no function here reads a range. They
    // come all the time, so one of them stands behind a payment that it did not see.
    const lists = [];
    while (!isOver && lists.length < LISTS_MAX) {
      lists.push(payee.trySubmit("ListCredits", payee.account, asset));
      await sleep(5);
    }
    await Promise.all([pays, ...lists]);
    codes = await codesFrom(first, payee.account);
  }
  assert.deepEqual([...codes].sort(), ["PHANTOM_READ_CONFLICT", "VALID"]);
});

async function height() {
  return (await rig.lookup("chaininfo")).body.result.height;
}

// The codes of all about an account that came into blocks since there were so many.
async function codesFrom(first, account) {
  const codes = new Set();
  for (let number = first, end = await height(); number < end; number += 1) {
    const { body } = await rig.lookup(`blocks/${number}`);
    const all = body.result.block.transactions ?? [];
    const about = all.filter(({ actions }) => actions?.[0].input.args.includes(account));
    about.forEach(({ status }) => codes.add(status));
  }
  return codes;
}

async function fund(client, amount) {
  const tx = await admin.submit("Mint", fresh(), client.account, asset, `${amount}`);
  await client.submit("Sweep", fresh(), asset, JSON.stringify([tx]));
}
