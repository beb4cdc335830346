// Questions whose answer anybody can make long, by many small payments or promises: they are
// answered still, and say that there is more. With lower limits than the chaincode has.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { canonical } = require("../src/canonical");
const check = require("../src/check");
const { getIous } = require("../src/ious");
const { getBalance, listCredits } = require("../src/money");

const ACCOUNT = `Org1MSP:${"0".repeat(64)}`;
const ASSET = "Org1MSP/USD";
Object.assign(check.LIMITS, { rowsInList: 2, rowsInSum: 4 });

for (const [there, seen, listed] of [[0, 0, 0], [2, 2, 2], [4, 4, 2], [5, 4, 2], [9, 4, 2]]) {
  test(`of ${there} IOUs ${seen} are added up and ${listed} listed`, async () => {
    const { held, owed } = await getIous(contextWith(there), ACCOUNT, ASSET);
    for (const side of [held, owed]) {
      const said = [side.count, side.total, side.more, side.ious.length];
      assert.deepEqual(said, [seen, `${seen * 3}`, there > seen, listed]);
    }
  });

  test(`of ${there} credits ${seen} are added up and ${listed} listed`, async () => {
    const balance = await getBalance(contextWith(there), ACCOUNT, ASSET);
    const said = [balance.credits, balance.waiting, balance.total, balance.more];
    assert.deepEqual(said, [seen, `${seen * 3}`, `${seen * 3 + 7}`, there > seen]);
    assert.equal(balance.balance, "7");
    const { credits, more } = await listCredits(contextWith(there), ACCOUNT, ASSET);
    assert.deepEqual([credits.length, more], [listed, there > listed]);
  });
}

// So many rows of three under each key, and a balance of seven.
function contextWith(count) {
  const row = (value) => Buffer.from(canonical(value), "utf8");
  const stub = {
    getTxID: () => "tx",
    createCompositeKey: (type) => type,
    getState: async (type) => (type === "balance" ? row({ amount: "7" }) : Buffer.alloc(0)),
    async *getStateByPartialCompositeKey() {
      for (let at = 0; at < count; at += 1) {
        yield { value: row({ amount: "3", open: "3" }) };
      }
    },
  };
  const clientIdentity = {
    getMSPID: () => "Org1MSP",
    getID: () => "x509::/CN=ann::/CN=ca",
    assertAttributeValue: () => false,
  };
  return { stub, clientIdentity };
}
