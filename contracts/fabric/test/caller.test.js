// Whose account a call is for, by what the peer says of the caller alone.
"use strict";

const assert = require("node:assert/strict");
const { createHash } = require("node:crypto");
const { test } = require("node:test");
const { callerOf } = require("../src/caller");

const ID = "x509::/CN=ann::/CN=ca";

test("an account is the MSP id and the digest of MSP id and identity", () => {
  const { account, admin, id, msp } = callerOf(contextOf("Org1MSP"));
  const digest = createHash("sha256").update(`Org1MSP\0${ID}`).digest("hex");
  assert.deepEqual([account, admin, id, msp], [`Org1MSP:${digest}`, false, ID, "Org1MSP"]);
  assert.ok(callerOf(contextOf("M".repeat(40))).account.length <= 128);
});

test("the same identity under another MSP is another account", () => {
  const [one, two] = ["Org1MSP", "Org2MSP"].map((msp) => callerOf(contextOf(msp)).account);
  assert.notEqual(one.split(":")[1], two.split(":")[1]);
});

test("an MSP id that no account can be made of is refused", () => {
  for (const msp of ["", "Org 1", "Org:1", "Org/1", "Örg", "M".repeat(41)]) {
    assert.throws(() => callerOf(contextOf(msp)), /^Error: BAD_IDENTITY: /);
  }
});

function contextOf(msp) {
  const clientIdentity = {
    getMSPID: () => msp,
    getID: () => ID,
    assertAttributeValue: () => false,
  };
  return { clientIdentity };
}
