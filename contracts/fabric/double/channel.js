// The channel: what a network does between a client's proposal and a transaction in a block. Both
// organisations' peers endorse it, the orderer puts it in a block, validation lets it change the
// state or not. A block is cut when it is full, or a while after its first transaction came.
"use strict";

const { EventEmitter } = require("node:events");
const { Chain } = require("./chain");
const { Peer } = require("./peer");
const { propose } = require("./proposal");
const { State } = require("./state");

/** So many transactions at most are kept; then nothing more is taken. */
const TRANSACTIONS_MAX = 200_000;

/** What went wrong on the way, in the words of the gateway's library. */
class NetworkError extends Error {}

/** One channel with one chaincode on it. Emits `block` for each new block. */
class Channel extends EventEmitter {
  constructor({ name, chaincode, organisations, collections, peers, faults, limits }) {
    super();
    Object.assign(this, { name, chaincode, faults, limits });
    const members = new Map(collections.map((collection) => [collection.name, collection.members]));
    this.state = new State(members.keys());
    this.chain = new Chain();
    const shared = { ...peers, state: this.state, channel: name, members };
    this.peers = organisations.map(() => new Peer(shared));
    this.waiting = [];
    this.timer = null;
    this.counts = { VALID: 0, MVCC_READ_CONFLICT: 0, PHANTOM_READ_CONFLICT: 0, queries: 0 };
  }

  /** Runs a question on one peer; nothing of it is kept. */
  async query(call) {
    this.counts.queries += 1;
    const { payload } = await this.peers[0].simulate(this.proposed(call));
    return payload;
  }

  /** Runs a call on each organisation's peer: a transaction that they agree on. */
  async endorse(call) {
    if (this.chain.places.size + this.waiting.length >= TRANSACTIONS_MAX) {
      throw new NetworkError(`the double keeps ${TRANSACTIONS_MAX} transactions; start it anew`);
    }
    const proposal = this.proposed(call);
    const results = await Promise.all(this.peers.map((peer) => peer.simulate(proposal)));
    const [first, ...others] = results.map(resultOf);
    if (others.some((other) => other !== first)) {
      const mismatch = "Endorser Client Status Code: (3) ENDORSEMENT_MISMATCH. Description: ";
      throw new NetworkError(`${mismatch}ProposalResponsePayloads do not match`);
    }
    const { simulation, event } = results[0];
    return { proposal, simulation, event };
  }

  /** Hands a transaction to the orderer: its block's number and its code, once it is in one. */
  order(tx) {
    return new Promise((resolve) => {
      this.waiting.push({ tx, resolve });
      if (this.waiting.length >= this.limits.blockTransactions) {
        this.cut();
      } else {
        this.timer ??= setTimeout(() => this.cut(), this.limits.blockMs);
      }
    });
  }

  /** Ends the connections to the chaincode, and what waits for a block with them. */
  close() {
    clearTimeout(this.timer);
    this.peers.forEach((peer) => peer.close());
  }

  proposed(call) {
    return propose({ ...call, channel: this.name, chaincode: this.chaincode });
  }

  cut() {
    clearTimeout(this.timer);
    this.timer = null;
    const number = this.chain.height;
    const batch = this.waiting.splice(0, this.limits.blockTransactions);
    const entries = batch.map(({ tx }, at) => ({ tx, code: this.validate(tx, { number, at }) }));
    const block = this.chain.append(entries);
    batch.forEach(({ resolve }, at) => resolve({ number, code: entries[at].code }));
    if (this.waiting.length > 0) {
      this.timer = setTimeout(() => this.cut(), this.limits.blockMs);
    }
    this.emit("block", block);
  }

  validate(tx, { number, at }) {
    const isMadeTo = this.faults.take("conflict", { func: tx.proposal.func });
    const commit = () => this.state.commit(tx.simulation, `${number}:${at}`);
    const code = isMadeTo ? "MVCC_READ_CONFLICT" : commit();
    this.counts[code] += 1;
    // Blocks are kept for long: without what nobody asks for again.
    tx.simulation = tx.proposal.signed = tx.proposal.input = null;
    return code;
  }
}

function resultOf({ simulation, payload, event }) {
  const told = event ? [event.name, event.payload.toString("base64")] : null;
  return JSON.stringify([simulation.digest(), payload.toString("base64"), told]);
}

module.exports = { Channel, NetworkError, TRANSACTIONS_MAX };
