// The world state as this chaincode uses it: rows of canonical JSON under composite keys, each with
// the transaction that wrote it, who asked for it and when.
//
// `once` is the rule that makes retries safe: under one caller's reference something happens once.
"use strict";

const { callerOf } = require("./caller");
const { canonical, sha256 } = require("./canonical");
const { fail } = require("./fail");

/** One transaction's view of the rows. */
class Rows {
  constructor(ctx) {
    this.stub = ctx.stub;
    this.caller = callerOf(ctx);
    this.tx = ctx.stub.getTxID();
  }

  /** The row under a key, or `undefined`. */
  async get(type, ...key) {
    const bytes = await this.stub.getState(this.stub.createCompositeKey(type, key));
    return bytes && bytes.length > 0 ? JSON.parse(bytes.toString("utf8")) : undefined;
  }

  /** The row under a key; refuses when there is none. */
  async need(type, ...key) {
    return (await this.get(type, ...key)) ?? fail("NOT_FOUND", `${type} ${key.join(" ")}`);
  }

  /** Writes a row, and gives it back as it will be read. */
  async put(type, key, row) {
    const text = canonical(row);
    await this.stub.putState(this.stub.createCompositeKey(type, key), Buffer.from(text, "utf8"));
    return JSON.parse(text);
  }

  /** Removes a row. */
  async remove(type, ...key) {
    await this.stub.deleteState(this.stub.createCompositeKey(type, key));
  }

  /** The rows whose keys begin so, at most `most` and `more` when there are others. For questions
   * only: in a transaction, a row that comes in between would make it invalid. */
  async list(type, key, most) {
    const rows = [];
    for await (const { value } of this.stub.getStateByPartialCompositeKey(type, key)) {
      if (rows.length === most) {
        return { rows, more: true };
      }
      rows.push(JSON.parse(Buffer.from(value).toString("utf8")));
    }
    return { rows, more: false };
  }

  /** Who, in which transaction and when: what each row says of where it came from. The time is the
   * client's word, so nothing is decided by it. */
  origin() {
    const { account, msp, id } = this.caller;
    return { tx: this.tx, by: { account, msp, id }, at: this.at() };
  }

  at() {
    const { seconds, nanos } = this.stub.getTxTimestamp();
    const ms = seconds.toNumber() * 1000 + Math.floor(nanos / 1e6);
    return new Date(ms).toISOString();
  }

  /** Does something once under the caller's own reference. `terms` is all that it is about: the
   * same again is answered with the stored row and changes nothing, other terms are a conflict.
   * `act` does it, and may give fields that the row has besides. */
  async once(type, reference, terms, act = async () => ({})) {
    const owner = this.caller.account;
    const hash = sha256(canonical(terms));
    const stored = await this.get(type, owner, reference);
    if (stored) {
      if (stored.hash !== hash) {
        fail("CONFLICT", `${type} ${reference} exists with hash ${stored.hash}`);
      }
      return stored;
    }
    const more = await act();
    const row = { type, reference, owner, hash, ...terms, ...more, ...this.origin() };
    const written = await this.put(type, [owner, reference], row);
    this.tell(written);
    return written;
  }

  /** The transaction's one event: a row without its body, which may be large. */
  tell(row) {
    const { body, by, ...told } = row;
    this.stub.setEvent(EVENTS[row.type], Buffer.from(canonical(told), "utf8"));
  }
}

/** The name of the event that tells of each type of row. */
const EVENTS = {
  account: "Opened",
  record: "Recorded",
  anchor: "Anchored",
  root: "Anchored",
  mint: "Minted",
  payment: "Paid",
  sweep: "Swept",
  iou: "Owed",
  pass: "Passed",
  redemption: "Redeemed",
  discharge: "Discharged",
  netting: "Netted",
};

module.exports = { EVENTS, Rows };
