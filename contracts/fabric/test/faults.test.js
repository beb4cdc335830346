// What the double can be made to do wrong, and what is true of the ledger after each: the doubts
// that a client must settle by asking for its reference.
"use strict";

const assert = require("node:assert/strict");
const { after, afterEach, before, test } = require("node:test");
const recorded = require("./recorded.json");
const { Rig, fresh, freshDigest } = require("./rig");

const WAIT_MS = 150;
const FROZEN_MS = 1_500;
let rig;
let seller;

before(async () => {
  rig = await Rig.double({ waitMs: WAIT_MS, inFlight: 3 });
  seller = await rig.client("seller").begin();
});
afterEach(() => rig.admin("DELETE", "/faults"));
after(() => rig?.stop());

test("frozen before it is ordered: a time-out, and never applied", async () => {
  await rig.fault({ fault: "freeze", when: "before" });
  const { reference, answer, ms } = await timed();
  sameText(answer, "orderer frozen");
  assert.ok(ms >= WAIT_MS, `${ms} ms`);
  assert.equal(await isThere(reference), false);
});

test("frozen after it is in a block: the same time-out, and applied", async () => {
  await rig.fault({ fault: "freeze", when: "after" });
  const { reference, answer } = await timed();
  sameText(answer, "orderer frozen");
  assert.equal(await isThere(reference), true);
});

test("frozen until after the time-out: not applied when it is answered, later it is", async () => {
  await rig.fault({ fault: "freeze", when: "late", ms: 500 });
  const { reference, answer } = await timed();
  sameText(answer, "orderer frozen");
  assert.equal(await isThere(reference), false);
  while (!(await isThere(reference))) {
    // It comes in 500 ms; the test's own time-out is the end of waiting.
  }
});

test("sent again after either time-out, the reference is there once", async () => {
  for (const when of ["before", "after"]) {
    await rig.fault({ fault: "freeze", when });
    const anchor = ["Anchor", fresh(), freshDigest()];
    assert.equal((await seller.trySubmit(...anchor)).status, 500);
    const tx = await seller.submit(...anchor);
    const stored = (await seller.row("anchor", anchor[1])).tx;
    assert.equal(stored === tx, when === "before");
  }
});

test("a closed socket says nothing of what became of the call", async () => {
  for (const when of ["before", "after"]) {
    await rig.fault({ fault: "close", when });
    const reference = fresh();
    await assert.rejects(seller.trySubmit("Anchor", reference, freshDigest()), /fetch failed/);
    assert.equal(await isThere(reference), when === "after");
  }
});

test("refused in the words of an orderer that is down or has no leader, or in others", async () => {
  for (const [text, name] of [
    ["CONNECTION_FAILED", "orderer down"],
    ["SERVICE_UNAVAILABLE", "no leader"],
    ["TIMEOUT", "orderer frozen"],
  ]) {
    await rig.fault({ fault: "refuse", text });
    sameText(await seller.trySubmit("Anchor", fresh(), freshDigest()), name);
  }
  await rig.fault({ fault: "refuse", text: "whatever comes" });
  const reference = fresh();
  const answer = await seller.trySubmit("Anchor", reference, freshDigest());
  assert.deepEqual([answer.status, answer.body.error], [500, "Failed to submit: whatever comes"]);
  assert.equal(await isThere(reference), false);
});

test("three conflicts are overcome, four are told", async () => {
  for (const [times, status] of [[3, 200], [4, 500]]) {
    const valid = (await tell()).counts.VALID;
    await rig.fault({ fault: "conflict", times });
    const reference = fresh();
    const answer = await seller.trySubmit("Anchor", reference, freshDigest());
    assert.equal(answer.status, status);
    assert.equal(await isThere(reference), status === 200);
    assert.equal((await tell()).counts.VALID, valid + (status === 200 ? 1 : 0));
    assert.deepEqual((await tell()).armed, []);
    if (status === 500) {
      assert.equal(
        answer.body.error,
        "Failed to submit: Event Server Status Code: (11) MVCC_READ_CONFLICT. " +
          "Description: received invalid transaction",
      );
    }
  }
});

test("too many in flight: a limit on what nobody waits for, and it can be made so", async () => {
  // For so long that all five are here before the first is over, however busy this machine is.
  await rig.fault({ fault: "freeze", when: "before", times: 3, ms: 8_000 });
  const path = `/transactions${rig.as("seller", "&fly-sync=false")}`;
  const send = () => {
    const body = { headers: {}, func: "Anchor", args: [fresh(), freshDigest()] };
    return rig.request("POST", path, body);
  };
  const answers = await Promise.all([send(), send(), send(), send(), send()]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [202, 202, 202, 500, 500]);
  const refused = answers.find(({ status }) => status === 500);
  assert.equal(refused.text, '{"error":"Too many in-flight transactions"}');
  for (const { body } of answers.filter(({ status }) => status === 202)) {
    while ((await rig.request("GET", `/receipts/${body.id}`)).status === 404) {
      // They leave when their time is over.
    }
  }
  assert.equal((await send()).status, 202);
  await rig.fault({ fault: "inflight" });
  const made = await seller.trySubmit("Anchor", fresh(), freshDigest());
  assert.deepEqual([made.status, made.body.error], [500, "Too many in-flight transactions"]);
});

test("a chaincode that is down is told in the recorded words, and comes back", async () => {
  await rig.fault({ fault: "unplug" });
  const reference = fresh();
  const submitted = await seller.trySubmit("Anchor", reference, freshDigest());
  sameDown(submitted, "chaincode down, submit");
  sameDown(await seller.tryQuery("WhoAmI"), "chaincode down, query");
  // The recorded answers were cut; that many bytes they had.
  const named = submitted.text.replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:17052");
  assert.equal(named.replaceAll("sdpp_1", "settle_1").length, 759);
  await rig.admin("DELETE", "/faults");
  await seller.submit("Anchor", reference, freshDigest());
});

test("questions and look-ups fail too", async () => {
  await rig.fault({ fault: "refuse", on: "query", text: "no peer" });
  await seller.submit("Anchor", fresh(), freshDigest());
  const asked = await seller.tryQuery("WhoAmI");
  assert.deepEqual([asked.status, asked.body.error], [500, "no peer"]);
  await rig.fault({ fault: "close", on: "lookup" });
  await assert.rejects(rig.lookup("chaininfo"), /fetch failed/);
  await rig.fault({ fault: "freeze", on: "query" });
  assert.match((await seller.tryQuery("WhoAmI")).body.error, /^Client Status Code: \(5\) TIMEOUT/);
  assert.equal((await seller.tryQuery("WhoAmI")).status, 200);
});

test("a fault is for the function that it names, as often as it says", async () => {
  await rig.fault({ fault: "refuse", func: "AnchorRoot", times: 2 });
  await seller.submit("Anchor", fresh(), freshDigest());
  const root = freshDigest();
  assert.equal((await seller.trySubmit("AnchorRoot", root, "1")).status, 500);
  assert.equal((await seller.trySubmit("AnchorRoot", root, "1")).status, 500);
  await seller.submit("AnchorRoot", root, "1");
});

test("restarted, the gateway is where it was, on the same ledger, nothing under way", async () => {
  const [reference, kept, id] = [fresh(), fresh(), fresh("id")];
  await seller.submit("Anchor", kept, freshDigest());
  const asked = freeze(id, reference);
  await asked.begun;
  const restarted = rig.admin("POST", "/restart", { downMs: 500 });
  await assert.rejects(asked.waited, /fetch failed/);
  await assert.rejects(rig.lookup("chaininfo"), /fetch failed/);
  assert.equal((await restarted).status, 200);
  assert.equal(await isThere(kept), true);
  await new Promise((resolve) => setTimeout(resolve, FROZEN_MS));
  assert.equal((await rig.request("GET", `/receipts/${id}`)).status, 404);
});

test("what cannot be armed is said", async () => {
  for (const fault of [
    { fault: "melt" },
    { fault: "constructor" },
    { fault: "close", when: "late" },
    { fault: "refuse", on: "ledger" },
    { fault: "refuse", times: 0 },
    { fault: "refuse", times: 1.5 },
    { fault: "freeze", ms: -1 },
    { fault: "refuse", func: 5 },
    [],
  ]) {
    assert.equal((await rig.fault(fault)).status, 400);
  }
  assert.equal((await rig.admin("GET", "/nope")).status, 404);
  assert.equal((await rig.admin("POST", "/restart", { downMs: -1 })).status, 400);
  for (let left = 100; left > 0; left -= 1) {
    await rig.fault({ fault: "refuse", func: "Nope" });
  }
  assert.equal((await rig.fault({ fault: "refuse" })).status, 400);
});

async function timed() {
  const [reference, began] = [fresh(), Date.now()];
  const answer = await seller.trySubmit("Anchor", reference, freshDigest());
  return { reference, answer, ms: Date.now() - began };
}

// One submit that waits and one that nobody waits for, both frozen.
function freeze(id, reference) {
  const send = (sync, func, ...args) =>
    rig.request("POST", `/transactions${rig.as("seller", `&fly-sync=${sync}`)}`, {
      headers: { id },
      func,
      args,
    });
  const armed = rig.fault({ fault: "freeze", when: "before", times: 2, ms: FROZEN_MS });
  const waited = armed.then(() => send("true", "Anchor", reference, freshDigest()));
  const begun = armed.then(async () => {
    await send("false", "Anchor", fresh(), freshDigest());
    while ((await tell()).armed.length > 0) {
      // Both have met the fault.
    }
  });
  return { waited, begun };
}

async function isThere(reference) {
  const { status, text } = await seller.tryQuery("Get", "anchor", seller.account, reference);
  assert.ok(status === 200 || text.includes("NOT_FOUND"), text);
  return status === 200;
}

async function tell() {
  return (await rig.admin("GET", "/")).body;
}

// The recorded text, but for the orderer's address.
function sameText(answer, name) {
  const { status, body } = recorded[name].answer;
  assert.equal(answer.status, status);
  assert.equal(answer.body.error, body.error.replaceAll("127.0.0.1:17050", "127.0.0.1:7050"));
}

// The recorded text until it was cut, but for names, transaction and address.
function sameDown(answer, name) {
  const { status, text } = recorded[name].answer;
  const whole = (words) =>
    words.replaceAll("settle", "sdpp").replaceAll("17051", "7051").replace(/[0-9a-f]{64}/g, "#");
  const known = whole(text.replace(/: error cannot create.*$/s, ""));
  assert.equal(answer.status, status);
  assert.equal(whole(answer.text).slice(0, known.length), known);
  assert.match(answer.text, /connect: connection refused\\""}$/);
}
