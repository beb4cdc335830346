// What became of the transactions that nobody waited for. In memory; the oldest go when there are
// too many. The same request id again overwrites, as in the gateway's own store.
"use strict";

const { EventEmitter } = require("node:events");
const { randomBytes } = require("node:crypto");

const KEPT_MAX = 10_000;
const LIST_MAX = 100;
const LIST_DEFAULT = 10;
const BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The receipts. Emits `receipt` for each. */
class Receipts extends EventEmitter {
  constructor() {
    super();
    this.setMaxListeners(0);
    this.byId = new Map();
  }

  /** Keeps a receipt. */
  keep(receipt) {
    this.byId.delete(receipt._id);
    this.byId.set(receipt._id, { receipt, key: `z${sequenceKey(receipt.receivedAt)}` });
    if (this.byId.size > KEPT_MAX) {
      this.byId.delete(this.byId.keys().next().value);
    }
    this.emit("receipt", receipt);
  }

  /** One receipt, or `undefined`. */
  get(id) {
    return this.byId.get(id)?.receipt;
  }

  /** Those with the ids, or else the newest. */
  list(ids, limitText) {
    const limit = limitText === null ? LIST_DEFAULT : Number(limitText);
    if (!Number.isInteger(limit) || limit < 0) {
      return { error: "Invalid 'limit' query parameter" };
    }
    if (limit > LIST_MAX) {
      return { error: `Maximum limit is ${LIST_MAX}` };
    }
    if (ids.length > 0) {
      return { receipts: ids.flatMap((id) => this.get(id) ?? []) };
    }
    const newest = [...this.byId.values()].reverse().slice(0, limit);
    return { receipts: newest.map(({ receipt, key }) => withKey(receipt, key)) };
  }
}

function withKey({ _id, ...rest }, key) {
  return { _id, _sequenceKey: key, ...rest };
}

// A ULID: 48 bits of time, then 80 at random.
function sequenceKey(ms) {
  const bits = (BigInt(ms) << 80n) | BigInt(`0x${randomBytes(10).toString("hex")}`);
  const digit = (_, at) => BASE32[Number((bits >> BigInt(5 * (25 - at))) & 31n)];
  return Array.from({ length: 26 }, digit).join("");
}

module.exports = { Receipts };
