// The peer's world state: values with the height of the transaction that wrote each, in the public
// part and in each private collection, and what a peer checks before it lets a transaction change
// them. In memory only.
"use strict";

const { createHash } = require("node:crypto");

/** How many rows a peer reads ahead of a range. */
const PAGE = 100;

/** A key in the order in which a peer's database has it: by the bytes of its UTF-8. */
function ordered(key) {
  return Buffer.from(key, "utf8").toString("latin1");
}

/** One part of the world state, kept sorted. */
class Part {
  constructor() {
    this.values = new Map();
    this.keys = [];
  }

  get(key) {
    return this.values.get(ordered(key));
  }

  set(key, value, version) {
    const at = ordered(key);
    if (!this.values.has(at)) {
      this.keys.splice(this.place(at), 0, at);
    }
    this.values.set(at, { key, value, version });
  }

  delete(key) {
    const at = ordered(key);
    if (this.values.delete(at)) {
      this.keys.splice(this.place(at), 1);
    }
  }

  /** Up to `most` rows from `start` on and before `end`. */
  range(start, end, most = Infinity) {
    const rows = [];
    const stop = ordered(end);
    const first = this.place(ordered(start));
    for (const key of this.keys.slice(first, first + most)) {
      if (stop !== "" && key >= stop) {
        break;
      }
      rows.push(this.values.get(key));
    }
    return rows;
  }

  // Where a key stands, or would stand.
  place(key) {
    let [low, high] = [0, this.keys.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.keys[middle] < key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

/** The world state of one channel's chaincode. */
class State {
  /** `collections` are the names of the private parts. */
  constructor(collections) {
    this.parts = new Map(["", ...collections].map((name) => [name, new Part()]));
  }

  /** A part of the state; the public one has no name. */
  part(collection) {
    const part = this.parts.get(collection);
    if (!part) {
      throw new Error(`collection ${collection} could not be found`);
    }
    return part;
  }

  /** What a peer makes of a simulated transaction whose turn it is: its code, and where it is valid
   * the state is as it wrote it. */
  commit(simulation, height) {
    if (!simulation.reads.every((read) => this.isCurrent(read))) {
      return "MVCC_READ_CONFLICT";
    }
    if (!simulation.ranges.every((range) => this.isSame(range))) {
      return "PHANTOM_READ_CONFLICT";
    }
    for (const { collection, key, value } of simulation.writes.values()) {
      if (value === null) {
        this.part(collection).delete(key);
      } else {
        this.part(collection).set(key, value, height);
      }
    }
    return "VALID";
  }

  isCurrent({ collection, key, version }) {
    return this.part(collection).get(key)?.version === version;
  }

  isSame({ collection, start, end, seen, isDone }) {
    const part = this.part(collection);
    const now = isDone ? part.range(start, end) : part.range(start, end, seen.length);
    const isAt = (row, at) => row.key === seen[at].key && row.version === seen[at].version;
    return now.length === seen.length && now.every(isAt);
  }
}

/** One transaction's reads and writes, before it has its place in a block. It reads what is
 * committed, never what it wrote itself, as in Fabric. */
class Simulation {
  constructor(state) {
    this.state = state;
    this.reads = [];
    this.ranges = [];
    this.writes = new Map();
  }

  /** The value under a key; empty when there is none. */
  get(collection, key) {
    const row = this.state.part(collection).get(key);
    this.reads.push({ collection, key, version: row?.version });
    return row?.value ?? Buffer.alloc(0);
  }

  /** The digest of a private value, which peers have that may not have the value. */
  hash(collection, key) {
    const value = this.get(collection, key);
    return value.length > 0 ? createHash("sha256").update(value).digest() : value;
  }

  /** Writes a value, or removes it with `null`. */
  put(collection, key, value) {
    if (key === "") {
      throw new Error("key must not be an empty string");
    }
    this.state.part(collection);
    this.writes.set(`${collection}\0${key}`, { collection, key, value });
  }

  /** Begins to read a range; `next` gives its rows by pages. */
  range(collection, start, end) {
    const range = { collection, start, end, seen: [], isDone: false };
    const rows = this.state.part(collection).range(start, end);
    this.ranges.push(range);
    const next = () => {
      const page = rows.slice(range.seen.length, range.seen.length + PAGE);
      range.seen.push(...page.map(({ key, version }) => ({ key, version })));
      range.isDone = range.seen.length === rows.length;
      return { rows: page, more: !range.isDone };
    };
    return { next };
  }

  /** What endorsers must agree on, as text. */
  digest() {
    const writes = [...this.writes.values()].map((write) => ({
      ...write,
      value: write.value?.toString("base64") ?? null,
    }));
    return JSON.stringify({ reads: this.reads, ranges: this.ranges, writes });
  }
}

module.exports = { Simulation, State };
