// Event streams: what valid transactions told, in batches over a websocket, each until it is
// acknowledged. So an event comes at least once, and again after a restart.
"use strict";

const { randomUUID } = require("node:crypto");
const { Refusal } = require("./transactions");

const BATCH_MAX = 1000;
const STREAMS_MAX = 100;
const SUBSCRIPTIONS_MAX = 1_000;

/** The streams and subscriptions of a gateway. */
class Streams {
  constructor({ channel, faults, listeners }) {
    Object.assign(this, { channel, faults, listeners });
    this.streams = new Map();
    this.subscriptions = new Map();
    channel.on("block", (block) => this.tell(block));
  }

  /** Makes a stream. */
  addStream(spec) {
    if (spec.type !== "websocket") {
      throw new Refusal(400, `Unknown action type '${spec.type ?? ""}'`);
    }
    if (!spec.websocket?.topic) {
      throw new Refusal(400, "Missing required parameter 'websocket.topic'");
    }
    if (this.streams.size >= STREAMS_MAX) {
      throw new Refusal(500, `the double keeps ${STREAMS_MAX} streams`);
    }
    const stream = new Stream(spec, this.faults, this.listeners);
    this.streams.set(stream.info.id, stream);
    return stream.info;
  }

  /** A stream by its id. */
  stream(id) {
    const stream = this.streams.get(id);
    if (!stream) {
      throw new Refusal(404, `Stream with ID '${id}' not found`);
    }
    return stream;
  }

  /** Removes a stream with its subscriptions. */
  deleteStream(id) {
    this.stream(id).stop();
    this.streams.delete(id);
    for (const [key, { info }] of this.subscriptions) {
      if (info.stream === id) {
        this.subscriptions.delete(key);
      }
    }
    return { deleted: "true", id };
  }

  /** Makes a subscription: a stream gets the events that it is for, old ones where it says so. */
  addSubscription(spec) {
    for (const name of ["channel", "stream", "signer"]) {
      if (!spec[name]) {
        throw new Refusal(400, `Missing required parameter "${name}"`);
      }
    }
    if (this.subscriptions.size >= SUBSCRIPTIONS_MAX) {
      throw new Refusal(500, `the double keeps ${SUBSCRIPTIONS_MAX} subscriptions`);
    }
    const subscription = new Subscription(spec, this.stream(spec.stream));
    this.subscriptions.set(subscription.info.id, subscription);
    this.replay(subscription);
    return subscription.info;
  }

  /** A subscription by its id. */
  subscription(id) {
    const subscription = this.subscriptions.get(id);
    if (!subscription) {
      throw new Refusal(404, `Subscription with ID '${id}' not found`);
    }
    return subscription;
  }

  /** Removes a subscription. */
  deleteSubscription(id) {
    this.subscription(id);
    this.subscriptions.delete(id);
    return { deleted: "true", id };
  }

  /** Begins again after a restart: from the block of the last event that was acknowledged. */
  restart() {
    for (const stream of this.streams.values()) {
      stream.forget();
    }
    for (const subscription of this.subscriptions.values()) {
      this.replay(subscription);
    }
  }

  /** Ends all of them. */
  stop() {
    this.streams.forEach((stream) => stream.stop());
  }

  replay(subscription) {
    const from = subscription.from(this.channel.chain.height);
    for (const block of this.channel.chain.blocks.slice(from)) {
      subscription.offer(block);
    }
  }

  tell(block) {
    const fault = this.faults.take("events", { when: "duplicate" });
    const late = this.faults.take("events", { when: "late" });
    const offer = () => this.subscriptions.forEach((subscription) => subscription.offer(block));
    const all = () => (fault ? [offer(), offer()] : offer());
    if (late) {
      setTimeout(all, late.ms).unref();
    } else {
      all();
    }
  }
}

/** Which events a stream gets. */
class Subscription {
  constructor(spec, stream) {
    const { channel, name, signer, fromBlock = "newest", filter = {}, payloadType } = spec;
    const id = `sb-${randomUUID()}`;
    this.info = {
      created: new Date().toISOString().replace(/\.\d+/, ""),
      id,
      channel,
      path: `/subscriptions/${id}`,
      name: name ?? id,
      stream: stream.info.id,
      signer,
      fromBlock: String(fromBlock),
      filter: {
        blockType: "tx",
        chaincodeId: filter.chaincodeId,
        eventFilter: filter.eventFilter ?? ".*",
      },
      payloadType: payloadType || undefined,
    };
    this.stream = stream;
    this.pattern = patternOf(this.info.filter.eventFilter);
    this.acknowledged = null;
  }

  /** The block to begin with. */
  from(height) {
    if (this.acknowledged !== null) {
      return this.acknowledged;
    }
    const { fromBlock } = this.info;
    if (fromBlock === "newest") {
      return height;
    }
    return fromBlock === "oldest" ? 0 : Number(fromBlock) || 0;
  }

  /** Gives the stream a block's events that fit. */
  offer(block) {
    for (const { tx, code } of block.entries) {
      if (code === "VALID" && tx.event && this.fits(tx)) {
        this.stream.push(this.entry(block, tx), this);
      }
    }
  }

  fits({ event, proposal }) {
    const { chaincodeId } = this.info.filter;
    return (!chaincodeId || chaincodeId === proposal.chaincode) && this.pattern.test(event.name);
  }

  entry(block, { event, proposal }) {
    return {
      chaincodeId: proposal.chaincode,
      blockNumber: block.number,
      transactionId: proposal.tx,
      // Always: the gateway never counts them.
      transactionIndex: 0,
      eventIndex: 0,
      eventName: event.name,
      payload: payloadOf(event.payload, this.info.payloadType),
      timestamp: this.stream.info.timestamps ? proposal.at : undefined,
      subId: this.info.id,
    };
  }
}

/** One stream's queue, and the loop that hands it out batch by batch. */
class Stream {
  constructor(spec, faults, listeners) {
    const id = `es-${randomUUID()}`;
    const batchSize = Math.min(Math.max(Number(spec.batchSize) || 1, 1), BATCH_MAX);
    this.info = {
      created: "",
      id,
      name: spec.name,
      path: `/eventstreams/${id}`,
      suspended: false,
      type: "websocket",
      batchSize,
      batchTimeoutMS: Number(spec.batchTimeoutMS) || 5000,
      errorHandling: spec.errorHandling || "skip",
      blockedRetryDelaySec: Number(spec.blockedRetryDelaySec) || 30,
      websocket: { topic: spec.websocket.topic },
      timestamps: spec.timestamps === true,
      timestampCacheSize: 1000,
    };
    this.faults = faults;
    this.listeners = listeners;
    this.queue = [];
    this.begun = 0;
    this.isStopped = false;
    this.wake = () => {};
    this.run();
  }

  /** Queues an event. */
  push(entry, subscription) {
    this.queue.push({ entry, subscription });
    this.wake();
  }

  /** Drops what is queued, and what of it is on its way. */
  forget() {
    this.queue = [];
    this.begun += 1;
    this.wake();
  }

  /** Holds events back, or no longer. */
  suspend(isSuspended) {
    this.info.suspended = isSuspended;
    this.wake();
  }

  /** Ends it. */
  stop() {
    this.isStopped = true;
    this.wake();
  }

  async run() {
    while (!this.isStopped) {
      const { batchSize, batchTimeoutMS } = this.info;
      await this.until(() => this.queue.length > 0 && !this.info.suspended);
      await this.until(() => this.queue.length >= batchSize, batchTimeoutMS);
      const begun = this.begun;
      const batch = this.queue.slice(0, batchSize);
      if (batch.length > 0 && !this.info.suspended && (await this.deliver(batch))) {
        this.settle(batch, begun);
      }
    }
  }

  settle(batch, begun) {
    if (begun !== this.begun) {
      return;
    }
    this.queue.splice(0, batch.length);
    for (const { entry, subscription } of batch) {
      subscription.acknowledged = Math.max(subscription.acknowledged ?? 0, entry.blockNumber);
    }
  }

  // Whether a batch is done with: acknowledged, or refused by a client of a stream that skips.
  async deliver(batch) {
    await this.untilFree();
    // Looked up again at once, as another stream of this topic may have been woken too.
    const listener = this.free();
    if (!listener) {
      return false;
    }
    const entries = batch.map(({ entry }) => entry);
    const answer = await listener.deliver(this.info.websocket.topic, entries);
    if (answer === "error" && this.info.errorHandling === "block") {
      await this.until(() => false, this.info.blockedRetryDelaySec * 1000);
      return false;
    }
    return answer !== "gone";
  }

  free() {
    return this.info.suspended ? undefined : this.listeners.first(this.info.websocket.topic);
  }

  async untilFree() {
    const wake = () => this.wake();
    this.listeners.on("listening", wake);
    await this.until(() => this.free());
    this.listeners.off("listening", wake);
  }

  // Waits until something is so, the stream is stopped, or the time is over.
  until(isSo, ms) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.wake = () => {};
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(done, ms);
      this.wake = () => (this.isStopped || isSo() ? done() : undefined);
      this.wake();
    });
  }
}

function patternOf(text) {
  try {
    return new RegExp(text);
  } catch {
    throw new Refusal(400, "the double reads no such eventFilter");
  }
}

function payloadOf(bytes, type) {
  if (type === "json" || type === "stringifiedJSON") {
    return JSON.parse(bytes.toString("utf8"));
  }
  return bytes.toString(type === "string" ? "utf8" : "base64");
}

module.exports = { Streams };
