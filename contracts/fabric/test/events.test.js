// Event streams over the websocket: batches that wait for their acknowledgement, again until they
// get it; valid transactions only.
"use strict";

const assert = require("node:assert/strict");
const { after, afterEach, before, test } = require("node:test");
const WebSocket = require("ws");
const recorded = require("./recorded.json");
const { Rig, fresh, freshDigest } = require("./rig");

let rig;
let seller;
const open = [];

before(async () => {
  rig = await Rig.double();
  seller = await rig.client("seller").begin();
});
afterEach(() => {
  open.splice(0).forEach((listener) => listener.close());
  return rig.admin("DELETE", "/faults");
});
after(() => rig?.stop());

test("streams and subscriptions have the recorded shapes", async () => {
  const { stream, subscription } = await subscribed({ name: "paid" });
  const was = recorded.stream.answer.body;
  assert.deepEqual(types(stream), types(was));
  assert.deepEqual(types(subscription), types(recorded.subscription.answer.body));
  const all = await rig.request("GET", "/subscriptions");
  assert.deepEqual(types(all.body[0]), types(recorded.subscriptions.answer.body[0]));
  const suspended = await rig.request("POST", `${stream.path}/suspend`);
  assert.deepEqual(types(suspended.body), types(recorded.suspended.answer.body));
  const deleted = await rig.request("DELETE", stream.path);
  assert.deepEqual(types(deleted.body), types(recorded.deleted.answer.body));
  assert.equal((await rig.request("GET", stream.path)).status, 404);
  assert.equal((await rig.request("GET", subscription.path)).status, 404);
});

test("an event comes in the recorded shape, its payload as JSON", async () => {
  const { topic, subscription } = await subscribed();
  const listener = await listen(topic);
  const reference = fresh();
  const tx = await seller.submit("Anchor", reference, freshDigest());
  const [event] = await listener.batch();
  const { payload, timestamp, ...rest } = event;
  const block = (await seller.inBlock(tx)).block.result.block;
  assert.deepEqual(rest, {
    chaincodeId: "sdpp",
    blockNumber: block.block_number,
    transactionId: tx,
    transactionIndex: 0,
    eventIndex: 0,
    eventName: "Anchored",
    subId: subscription.id,
  });
  assert.deepEqual([payload.reference, payload.tx], [reference, tx]);
  assert.equal(typeof timestamp, "number");
  const was = recorded["event over websocket"].answer.text.match(/"\w+"(?=:)/g);
  assert.deepEqual(Object.keys(event).slice(0, was.length).map((name) => `"${name}"`), was);
});

test("nothing more comes before a batch is acknowledged", async () => {
  const { topic } = await subscribed();
  const listener = await listen(topic);
  const txs = [await anchor(), await anchor()];
  assert.equal((await listener.batch())[0].transactionId, txs[0]);
  assert.equal(await listener.silence(), true);
  listener.send({ type: "ack", topic });
  assert.equal((await listener.batch())[0].transactionId, txs[1]);
});

test("two streams of one topic take turns with a listener", async () => {
  const { topic } = await subscribed();
  await subscribed({ websocket: { topic } });
  const listener = await listen(topic);
  const tx = await anchor();
  for (let streams = 2; streams > 0; streams -= 1) {
    assert.equal((await listener.batch())[0].transactionId, tx);
    assert.equal(await listener.silence(), true);
    listener.send({ type: "ack", topic });
  }
});

test("events come in batches of the stream's size, in order", async () => {
  const { height } = (await rig.lookup("chaininfo")).body.result;
  const txs = [];
  for (let left = 4; left > 0; left -= 1) {
    txs.push(await anchor());
  }
  // From then on: so all four are there at once.
  const { topic } = await subscribed({ batchSize: 3 }, { fromBlock: `${height}` });
  const listener = await listen(topic);
  const first = await listener.batch();
  listener.send({ type: "ack", topic });
  const second = await listener.batch();
  assert.deepEqual([first.length, second.length], [3, 1]);
  assert.deepEqual([...first, ...second].map(({ transactionId }) => transactionId), txs);
});

test("a batch that is refused or never acknowledged comes again", async () => {
  const { topic } = await subscribed({ errorHandling: "block", blockedRetryDelaySec: 0.02 });
  const tx = await anchor();
  const listener = await listen(topic);
  assert.equal((await listener.batch())[0].transactionId, tx);
  listener.send({ type: "error", topic, message: "db down" });
  assert.equal((await listener.batch())[0].transactionId, tx);
  listener.close();
  const another = await listen(topic);
  assert.equal((await another.batch())[0].transactionId, tx);
});

test("a suspended stream tells nothing until it goes on", async () => {
  const { topic, stream } = await subscribed();
  const tx = await anchor();
  await rig.request("POST", `${stream.path}/suspend`);
  const listener = await listen(topic);
  assert.equal(await listener.silence(), true);
  const resumed = await rig.request("POST", `${stream.path}/resume`);
  assert.deepEqual([resumed.status, resumed.body.resumed], [200, "true"]);
  assert.equal((await listener.batch())[0].transactionId, tx);
});

test("a stream that skips lets go of what is refused", async () => {
  const { topic } = await subscribed({ errorHandling: "skip" });
  const txs = [await anchor(), await anchor()];
  const listener = await listen(topic);
  assert.equal((await listener.batch())[0].transactionId, txs[0]);
  listener.send({ type: "error", topic, message: "no" });
  assert.equal((await listener.batch())[0].transactionId, txs[1]);
});

test("invalid transactions and repeats without effect tell nothing", async () => {
  const { topic } = await subscribed();
  const args = ["Anchor", fresh(), freshDigest()];
  await rig.fault({ fault: "conflict", times: 2 });
  const tx = await seller.submit(...args);
  await seller.submit(...args);
  const last = await anchor();
  const listener = await listen(topic);
  assert.equal((await listener.batch())[0].transactionId, tx);
  listener.send({ type: "ack", topic });
  assert.equal((await listener.batch())[0].transactionId, last);
});

test("a subscription is for names that fit, and begins where it says", async () => {
  const old = await anchor();
  const { topic } = await subscribed({}, { fromBlock: "0", filter: { eventFilter: "^Anch" } });
  const { topic: none } = await subscribed({}, { filter: { eventFilter: "^Paid$" } });
  const [listener, silent] = [await listen(topic), await listen(none)];
  const seen = [];
  while (!seen.includes(old)) {
    const [event] = await listener.batch();
    seen.push(event.transactionId);
    assert.equal(event.eventName, "Anchored");
    listener.send({ type: "ack", topic });
  }
  await anchor();
  assert.equal(await silent.silence(), true);
});

test("payloads come as base64 or text where they are not wanted as JSON", async () => {
  const [plain, text] = [
    await subscribed({}, { payloadType: undefined }),
    await subscribed({}, { payloadType: "string" }),
  ];
  const tx = await anchor();
  const [one, other] = [await listen(plain.topic), await listen(text.topic)];
  const [[bytes], [words]] = [await one.batch(), await other.batch()];
  assert.equal(JSON.parse(Buffer.from(bytes.payload, "base64")).tx, tx);
  assert.equal(JSON.parse(words.payload).tx, tx);
});

test("events can be made to come twice, and late", async () => {
  const { topic } = await subscribed();
  const listener = await listen(topic);
  await rig.fault({ fault: "events", when: "duplicate" });
  const tx = await anchor();
  for (let times = 2; times > 0; times -= 1) {
    assert.equal((await listener.batch())[0].transactionId, tx);
    listener.send({ type: "ack", topic });
  }
  await rig.fault({ fault: "events", when: "late", ms: 600 });
  const late = await anchor();
  assert.equal(await listener.silence(), true);
  assert.equal((await listener.batch())[0].transactionId, late);
});

test("a restart closes the websocket, and what was not acknowledged comes again", async () => {
  const { topic } = await subscribed();
  const listener = await listen(topic);
  const acknowledged = await anchor();
  await listener.batch();
  listener.send({ type: "ack", topic });
  const tx = await anchor();
  assert.equal((await listener.batch())[0].transactionId, tx);
  await rig.admin("POST", "/restart", {});
  await listener.ended;
  const again = await listen(topic);
  const seen = [];
  while (!seen.includes(tx)) {
    seen.push((await again.batch())[0].transactionId);
    again.send({ type: "ack", topic });
  }
  assert.deepEqual(seen, [acknowledged, tx], "from the block of the last acknowledged one on");
});

test("who listens to replies gets the receipts that nobody waited for", async () => {
  const listener = await listen("", "listenreplies");
  const id = fresh("id");
  const body = { headers: { id }, func: "Anchor", args: [fresh(), freshDigest()] };
  await rig.request("POST", `/transactions${rig.as("seller", "&fly-sync=false")}`, body);
  const receipt = await listener.batch();
  assert.deepEqual(types(receipt), types(recorded["reply over websocket"].answer.body));
  assert.equal(receipt._id, id);
});

test("what is no message ends the connection", async () => {
  const listener = await listen(fresh());
  listener.sendText("{");
  await listener.ended;
});

test("what a stream or subscription lacks is said", async () => {
  const post = async (path, body) => {
    const { status, body: said } = await rig.request("POST", path, body);
    return [status, said.error];
  };
  const noTopic = await post("/eventstreams", { type: "websocket" });
  assert.deepEqual(noTopic, [400, "Missing required parameter 'websocket.topic'"]);
  const noStream = await post("/subscriptions", { channel: "sdpp" });
  assert.deepEqual(noStream, [400, 'Missing required parameter "stream"']);
  const unknown = { channel: "sdpp", stream: "none", signer: "seller" };
  const missing = await post("/subscriptions", unknown);
  assert.deepEqual(missing, [404, "Stream with ID 'none' not found"]);
});

// A stream of its own with one subscription, from now on.
async function subscribed(streamSpec = {}, subscriptionSpec = {}) {
  const topic = fresh("topic");
  const { body: stream } = await rig.request("POST", "/eventstreams", {
    name: "s1",
    type: "websocket",
    websocket: { topic },
    batchSize: 1,
    batchTimeoutMS: 20,
    errorHandling: "block",
    timestamps: true,
    ...streamSpec,
  });
  const { body: subscription } = await rig.request("POST", "/subscriptions", {
    name: "all",
    stream: stream.id,
    channel: "sdpp",
    signer: "seller",
    filter: { chaincodeId: "sdpp" },
    payloadType: "json",
    ...subscriptionSpec,
  });
  return { topic, stream, subscription };
}

async function listen(topic, type = "listen") {
  const socket = new WebSocket(`${rig.network.url.replace("http", "ws")}/ws`);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const listener = new Listener(socket);
  open.push(listener);
  listener.send({ type, topic });
  return listener;
}

/** A websocket client of the tests: takes messages one after the other. */
class Listener {
  constructor(socket) {
    this.socket = socket;
    this.got = [];
    this.wake = () => {};
    this.ended = new Promise((resolve) => socket.once("close", resolve));
    socket.on("message", (bytes) => {
      this.got.push(JSON.parse(bytes));
      this.wake();
    });
  }

  send(message) {
    this.sendText(JSON.stringify(message));
  }

  sendText(text) {
    this.socket.send(text);
  }

  async batch() {
    while (this.got.length === 0) {
      await new Promise((resolve) => (this.wake = resolve));
    }
    return this.got.shift();
  }

  /** Whether nothing comes for longer than it takes to make a block. */
  async silence() {
    await new Promise((resolve) => setTimeout(resolve, 80));
    return this.got.length === 0;
  }

  close() {
    this.socket.terminate();
  }
}

function anchor() {
  return seller.submit("Anchor", fresh(), freshDigest());
}

function types(object) {
  return Object.entries(object).map(([name, value]) => [name, typeof value]);
}
