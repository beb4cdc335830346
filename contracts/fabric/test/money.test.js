// Stories of accounts and money: who may make it, that nobody pays what it has not, that nothing is
// paid twice and nothing gets lost.
"use strict";

const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { Rig, fresh, isReal } = require("./rig");

const MOST = 2n ** 128n - 1n;
let rig;
let admin;
let payer;
let payee;
let asset;

before(async () => {
  rig = await Rig.open();
  admin = await rig.newAdmin();
  [payer, payee] = await rig.newClients(2);
  asset = `${admin.msp}/T${fresh("").slice(1, 9)}`;
  await fund(payer, 10_000);
});
after(() => rig?.stop());

test("an account is made of MSP and identity, opened once, and tells whose it is", async () => {
  const client = await rig.newClient({ account: false });
  assert.match(client.account, new RegExp(`^${client.msp}:[0-9a-f]{64}$`));
  assert.equal((await client.queryRefusal("GetAccount", client.account)).code, "NOT_FOUND");
  const tx = await client.submit("OpenAccount");
  const again = await client.submit("OpenAccount");
  const row = await payer.query("GetAccount", client.account);
  const { id } = await client.query("WhoAmI");
  assert.deepEqual([row.msp, row.id, row.tx], [client.msp, id, tx]);
  assert.equal((await client.inBlock(tx)).event.eventName, "Opened");
  assert.equal((await client.inBlock(again)).event.payload, null);
});

test("a renewed certificate keeps its account", async () => {
  const client = await rig.newClient();
  const renewed = await rig.request("POST", `/identities/${client.name}/reenroll`, {});
  assert.equal(renewed.status, 200);
  assert.equal((await client.query("WhoAmI")).account, client.account);
});

test("only an admin mints", async () => {
  const mint = ["Mint", fresh(), payee.account, asset, "1"];
  const { code, text } = await payer.refusal(...mint);
  assert.equal(code, "NOT_ALLOWED");
  assert.match(text, new RegExp(`only a client of ${admin.msp} with sdpp.admin=true`));
  const almost = await rig.newClient({ attributes: { "sdpp.admin": "false" } });
  assert.equal((await almost.refusal(...mint)).code, "NOT_ALLOWED");
  assert.deepEqual(
    [(await admin.query("WhoAmI")).admin, (await almost.query("WhoAmI")).admin],
    [true, false],
  );
});

test("who is an admin no more gets the row of what it minted, and mints nothing else", async () => {
  const [former, client] = [await rig.newAdmin(), await rig.newClient()];
  const mint = ["Mint", fresh(), client.account, asset, "6"];
  const tx = await former.submit(...mint);
  const renewed = await rig.request("POST", `/identities/${former.name}/reenroll`, {});
  assert.equal(renewed.status, 200);
  assert.equal((await former.query("WhoAmI")).admin, false);
  await former.submit(...mint);
  assert.equal((await former.row("mint", mint[1])).tx, tx);
  assert.equal(await client.total(asset), 6n);
  assert.equal((await former.refusal(...mint.with(4, "7"))).code, "CONFLICT");
  assert.equal((await former.refusal(...mint.with(1, fresh()))).code, "NOT_ALLOWED");
  assert.equal(await client.total(asset), 6n);
});

test("no admin mints another organisation's money", async () => {
  const { code } = await admin.refusal("Mint", fresh(), payee.account, "Elsewhere/USD", "1");
  assert.equal(code, "NOT_ALLOWED");
});

test("the other organisation's admin mints its own money and not ours", only(isReal), async () => {
  const admin2 = await rig.client("admin2").begin();
  const mint = (of) => ["Mint", fresh(), payee.account, of, "1"];
  assert.equal((await admin2.refusal(...mint(asset))).code, "NOT_ALLOWED");
  assert.equal(admin2.msp, "Org2MSP");
  await admin2.submit(...mint("Org2MSP/USD"));
});

test("clients of two organisations pay each other in either's money", only(isReal), async () => {
  const buyer = await rig.client("buyer").begin();
  assert.equal(buyer.msp, "Org2MSP");
  await fund(buyer, 50);
  await buyer.submit("Pay", fresh(), payee.account, asset, "20");
  await payer.submit("Pay", fresh(), buyer.account, asset, "1");
  assert.equal(await buyer.total(asset), 31n);
});

test("minted money is its owner's once it is swept, and is minted once", async () => {
  const [client, reference] = [await rig.newClient(), fresh()];
  const mint = ["Mint", reference, client.account, asset];
  const tx = await admin.submit(...mint, "700");
  await admin.submit(...mint, "700");
  assert.equal(await client.total(asset), 700n);
  assert.equal((await admin.refusal(...mint, "701")).code, "CONFLICT");
  const row = await admin.row("mint", reference);
  assert.deepEqual([row.to, row.amount, row.tx], [client.account, "700", tx]);
  assert.equal((await client.refusal("Pay", fresh(), payee.account, asset, "1")).code,
    "INSUFFICIENT_FUNDS");
  await client.sweep(asset);
  await client.submit("Pay", fresh(), payee.account, asset, "700");
  assert.equal(await client.total(asset), 0n);
});

test("a payment moves its amount, and its row says what it paid", async () => {
  const [rich, poor, reference] = [await payer.total(asset), await payee.total(asset), fresh()];
  const tx = await payer.submit("Pay", reference, payee.account, asset, "250");
  assert.equal(await payer.total(asset), rich - 250n);
  assert.equal(await payee.total(asset), poor + 250n);
  const row = await payer.row("payment", reference);
  const said = [row.owner, row.to, row.asset, row.amount, row.reference, row.tx];
  assert.deepEqual(said, [payer.account, payee.account, asset, "250", reference, tx]);
  const { status, event } = await payee.inBlock(tx);
  const told = JSON.parse(Buffer.from(event.payload, "base64"));
  assert.deepEqual([status, event.eventName], ["VALID", "Paid"]);
  const { by, ...rest } = row;
  assert.deepEqual(told, rest);
});

test("a repeated payment is a second valid transaction that moved nothing", async () => {
  const pay = ["Pay", fresh(), payee.account, asset, "5"];
  const first = await payer.submit(...pay);
  const after = await payer.total(asset);
  const second = await payer.submit(...pay);
  assert.notEqual(second, first);
  assert.equal(await payer.total(asset), after);
  assert.equal((await payer.row("payment", pay[1])).tx, first);
  const { status, event, transaction } = await payee.inBlock(second);
  assert.deepEqual([status, event.eventName, event.payload], ["VALID", "", null]);
  assert.deepEqual(transaction.actions[0].input.args, pay, "it looks like a payment");
});

test("a repeat is answered even when its payer has nothing left", async () => {
  const client = await rig.newClient();
  await fund(client, 3);
  const pay = ["Pay", fresh(), payee.account, asset, "3"];
  await client.submit(...pay);
  await client.submit(...pay);
  assert.equal(await client.total(asset), 0n);
});

test("another amount, payee or asset under a payment's reference is a conflict", async () => {
  const reference = fresh();
  await payer.submit("Pay", reference, payee.account, asset, "5");
  for (const other of [
    [payee.account, asset, "6"],
    [admin.account, asset, "5"],
    [payee.account, `${asset}x`, "5"],
  ]) {
    assert.equal((await payer.refusal("Pay", reference, ...other)).code, "CONFLICT");
  }
});

test("nobody pays what it does not have, and all of it can be paid", async () => {
  const client = await rig.newClient();
  await fund(client, 40);
  const { code, text } = await client.refusal("Pay", fresh(), payee.account, asset, "41");
  assert.equal(code, "INSUFFICIENT_FUNDS");
  assert.equal(text, `41 of ${asset} is more than the balance of 40`);
  await client.submit("Pay", fresh(), payee.account, asset, "40");
  assert.equal(await client.total(asset), 0n);
});

test("nobody is paid who opened no account, nor itself", async () => {
  const nobody = `${payer.msp}:${"0".repeat(64)}`;
  const { code } = await payer.refusal("Pay", fresh(), nobody, asset, "1");
  assert.equal(code, "NO_SUCH_ACCOUNT");
  const own = await payer.refusal("Pay", fresh(), payer.account, asset, "1");
  assert.equal(own.code, "BAD_ARGUMENT");
  const minted = await admin.refusal("Mint", fresh(), nobody, asset, "1");
  assert.equal(minted.code, "NO_SUCH_ACCOUNT");
});

const TOO_MUCH = [`${MOST + 1n}`, "9".repeat(40)];
for (const amount of ["0", "-1", "1.5", "01", "", " 1", "1e3", "0x10", ...TOO_MUCH]) {
  test(`an amount of ${JSON.stringify(amount)} is refused`, async () => {
    const { code } = await payer.refusal("Pay", fresh(), payee.account, asset, amount);
    assert.equal(code, "BAD_ARGUMENT");
  });
}

for (const [what, at, bad] of [
  ["a payee", 2, "bob"],
  ["a payee's digest in capitals", 2, `Org1MSP:${"A".repeat(64)}`],
  ["an asset without issuer", 3, "USD"],
  ["an asset with a blank", 3, "Org1MSP/U D"],
  ["an asset with two slashes", 3, "Org1MSP/U/D"],
]) {
  test(`${what} that is none is refused`, async () => {
    const pay = ["Pay", fresh(), payee.account, asset, "1"].with(at, bad);
    assert.equal((await payer.refusal(...pay)).code, "BAD_ARGUMENT");
  });
}

test("credits wait under the names of their transactions, and are swept once", async () => {
  const client = await rig.newClient();
  const pay = (amount) => payer.submit("Pay", fresh(), client.account, asset, amount);
  const txs = [await pay("1"), await pay("2"), await pay("4")];
  const waiting = await client.query("GetBalance", client.account, asset);
  assert.deepEqual([waiting.balance, waiting.waiting, waiting.credits], ["0", "7", 3]);
  const { credits, more } = await client.query("ListCredits", client.account, asset);
  assert.deepEqual(credits.map(({ tx }) => tx).sort(), txs.toSorted());
  assert.ok(credits.every(({ from, to }) => from === payer.account && to === client.account));
  assert.equal(more, false);
  const sweep = ["Sweep", fresh(), asset, JSON.stringify(txs.slice(0, 2))];
  const tx = await client.submit(...sweep);
  await client.submit(...sweep);
  const swept = await client.query("GetBalance", client.account, asset);
  assert.deepEqual([swept.balance, swept.waiting, swept.credits], ["3", "4", 1]);
  const row = await client.row("sweep", sweep[1]);
  assert.deepEqual([row.amount, row.tx], ["3", tx]);
  const other = ["Sweep", sweep[1], asset, JSON.stringify([txs[2]])];
  assert.equal((await client.refusal(...other)).code, "CONFLICT");
});

test("nobody sweeps a credit twice, another's, or one that is none", async () => {
  const client = await rig.newClient();
  const tx = await payer.submit("Pay", fresh(), client.account, asset, "9");
  const sweep = (names, reference = fresh()) => ["Sweep", reference, asset, JSON.stringify(names)];
  assert.equal((await payee.refusal(...sweep([tx]))).code, "NOT_FOUND");
  assert.equal((await client.refusal(...sweep([tx, "0".repeat(64)]))).code, "NOT_FOUND");
  assert.equal(await client.total(asset), 9n, "a refused sweep moved something");
  await client.submit(...sweep([tx]));
  assert.equal((await client.refusal(...sweep([tx]))).code, "NOT_FOUND");
  assert.equal((await client.refusal(...sweep([tx, tx]))).code, "BAD_ARGUMENT");
  assert.equal((await client.refusal(...sweep([]))).code, "TOO_MANY");
  const many = Array.from({ length: 101 }, (_, at) => `${at}`.padStart(64, "0"));
  assert.equal((await client.refusal(...sweep(many))).code, "TOO_MANY");
  assert.equal((await client.refusal(...sweep(many.slice(1)))).code, "NOT_FOUND");
  assert.equal((await client.refusal(...sweep([...many, ...many]))).code, "TOO_LARGE");
  assert.equal((await client.refusal("Sweep", fresh(), asset, '{"0":"x"}')).code, "BAD_ARGUMENT");
  assert.equal((await client.refusal("Sweep", fresh(), asset, "[1]")).code, "BAD_ARGUMENT");
  assert.equal(await client.total(asset), 9n);
});

test("a balance holds no more than 2^128-1", async () => {
  const client = await rig.newClient();
  const mint = (amount) => admin.submit("Mint", fresh(), client.account, asset, `${amount}`);
  const [all, one] = [await mint(MOST), await mint(1)];
  const sweep = (...names) => ["Sweep", fresh(), asset, JSON.stringify(names)];
  assert.equal((await client.refusal(...sweep(all, one))).code, "OVERFLOW");
  await client.submit(...sweep(all));
  assert.equal((await client.refusal(...sweep(one))).code, "OVERFLOW");
  assert.equal(await client.total(asset), MOST + 1n);
  await client.submit("Pay", fresh(), payee.account, asset, `${MOST}`);
});

test("more credits than fit into a list are told to be more", only(isReal), async () => {
  const client = await rig.newClient();
  const mints = Array.from({ length: 201 }, () =>
    admin.submit("Mint", fresh(), client.account, asset, "1"));
  await Promise.all(mints);
  const { credits, more } = await client.query("ListCredits", client.account, asset);
  assert.deepEqual([credits.length, more], [200, true]);
  assert.equal(await client.total(asset), 201n);
});

test("what it takes at most is told", async () => {
  const { limits, name } = await payer.query("GetInfo");
  assert.equal(name, "sdpp-fabric");
  assert.deepEqual(limits, {
    amountMax: `${MOST}`,
    bodyBytes: 16_384,
    countMax: 2 ** 32 - 1,
    creditsInSweep: 100,
    iousInNetting: 50,
    nameBytes: 128,
    rowsInList: 200,
    rowsInSum: 10_000,
  });
});

async function fund(client, amount) {
  const tx = await admin.submit("Mint", fresh(), client.account, asset, `${amount}`);
  await client.submit("Sweep", fresh(), asset, JSON.stringify([tx]));
}

// Where a test needs what a real gateway has not, it is skipped there, and said to be.
function only(isSkipped) {
  return { skip: isSkipped && "needs the double" };
}
