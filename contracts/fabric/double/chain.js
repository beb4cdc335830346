// The channel's blocks: what was ordered, with the code that validation gave each transaction, and
// how the gateway shows it. In memory only.
"use strict";

const { createHash, randomBytes } = require("node:crypto");
const der = require("./der");
const { json } = require("./go");

/** The name under which a block is asked for that is not there. */
class NotFound extends Error {}

/** The blocks of one channel, the first of which holds no transaction. */
class Chain {
  constructor() {
    this.blocks = [];
    this.places = new Map();
    this.append([]);
  }

  /** How many blocks there are. */
  get height() {
    return this.blocks.length;
  }

  /** Adds a block of transactions and their codes. */
  append(entries) {
    const number = this.blocks.length;
    const previous = number > 0 ? this.blocks[number - 1].hash : Buffer.alloc(32);
    // The first holds what this chain is told from others by, as a configuration would be.
    const content = number > 0 ? json(entries.map(({ tx }) => rawEnvelope(tx))) : randomBytes(32);
    const data = createHash("sha256").update(content).digest();
    const header = der.sequence(der.integer(number), der.octets(previous), der.octets(data));
    const hash = createHash("sha256").update(header).digest();
    const block = { number, previous, data, hash, entries };
    this.blocks.push(block);
    entries.forEach((entry) => this.places.set(entry.tx.proposal.tx, { block, entry }));
    return block;
  }

  /** The block with a number. */
  byNumber(number) {
    const block = this.blocks[number];
    if (!block) {
      const missing = `no such block number [${number}] in index`;
      throw new NotFound(`Failed to get block number ${number}, error ${missing}`);
    }
    return shownBlock(block);
  }

  /** The block with a transaction, each with its code. */
  byTx(tx) {
    const found = this.places.get(tx);
    if (!found) {
      throw new NotFound(`Failed to get block for txID ${tx}, error ${unknown(tx)}`);
    }
    return shownBlock(found.block);
  }

  /** A transaction, without its code: that is how the gateway shows it, whatever became of it. */
  transaction(tx) {
    const found = this.places.get(tx);
    if (!found) {
      throw new NotFound(`Failed to get transaction with id ${tx}, error ${unknown(tx)}`);
    }
    const shown = shownTransaction(found.entry.tx, "");
    return { raw: rawEnvelope(found.entry.tx), transaction: shown };
  }

  /** The newest block's hash and the height. */
  info() {
    const { hash, previous } = this.blocks[this.blocks.length - 1];
    return {
      current_block_hash: hash.toString("hex"),
      height: this.height,
      previous_block_hash: previous.toString("hex"),
    };
  }
}

function unknown(tx) {
  return `no such transaction ID [${tx}] in index`;
}

function shownBlock({ number, previous, data, entries }) {
  return {
    block: {
      block_number: number,
      data_hash: data.toString("hex"),
      previous_hash: previous.toString("hex"),
      // The first block of a channel holds its configuration, and no transaction is shown of it.
      transactions: entries.length > 0 ? entries.map(shownEntry) : null,
    },
    raw: {
      data: { data: entries.map(({ tx }) => rawEnvelope(tx)) },
      header: {
        number,
        previous_hash: previous.toString("base64"),
        data_hash: data.toString("base64"),
      },
      metadata: { metadata: ["", "", codesOf(entries), "", ""] },
    },
  };
}

function shownEntry({ tx, code }) {
  return shownTransaction(tx, code);
}

function shownTransaction(tx, status) {
  const { proposal } = tx;
  const creator = { msp_id: proposal.client.msp, cert: proposal.client.certificate };
  const nonce = hexOfText(proposal.nonce.toString("base64"));
  return {
    type: "ENDORSER_TRANSACTION",
    tx_id: proposal.tx,
    nonce,
    creator,
    status,
    signature: proposal.signature.toString("base64"),
    timestamp: proposal.at,
    actions: [
      {
        nonce,
        creator,
        transient_map: null,
        chaincode_id: { name: proposal.chaincode, version: "1" },
        input: { args: [proposal.func, ...proposal.args], is_init: false },
        proposal_hash: hexOfText(proposal.hash.toString("base64")),
        event: shownEvent(tx),
      },
    ],
  };
}

function rawEnvelope(tx) {
  const { proposal } = tx;
  const signatureHeader = {
    creator: {
      mspid: proposal.client.msp,
      id_bytes: Buffer.from(proposal.client.certificate, "utf8").toString("base64"),
    },
    nonce: proposal.nonce.toString("base64"),
  };
  const channelHeader = {
    channel_id: proposal.channel,
    epoch: "0",
    timestamp: proposal.at,
    tx_id: proposal.tx,
    type: "ENDORSER_TRANSACTION",
    version: 0,
  };
  return {
    payload: {
      data: { actions: [{ header: signatureHeader, payload: rawAction(tx) }] },
      header: { channel_header: channelHeader, signature_header: signatureHeader },
    },
    signature: proposal.signature.toString("base64"),
  };
}

function rawAction(tx) {
  const { proposal } = tx;
  const response = {
    extension: {
      chaincode_id: { name: proposal.chaincode, version: "1" },
      events: shownEvent(tx),
    },
    proposal_hash: proposal.hash.toString("base64"),
  };
  const spec = {
    chaincode_id: { name: proposal.chaincode },
    input: { args: [proposal.func, ...proposal.args], is_init: false },
    type: "UNDEFINED",
  };
  return {
    action: { proposal_response_payload: response },
    chaincode_proposal_payload: { TransientMap: null, input: { chaincode_spec: spec } },
  };
}

// A transaction without an event shows an empty one.
function shownEvent({ proposal, event }) {
  return {
    chaincodeId: event ? proposal.chaincode : "",
    transactionId: event ? proposal.tx : "",
    timestamp: proposal.at.toString(),
    eventName: event?.name ?? "",
    payload: event ? event.payload.toString("base64") : null,
  };
}

// Fabric's codes, one byte for each transaction.
const CODES = { VALID: 0, MVCC_READ_CONFLICT: 11, PHANTOM_READ_CONFLICT: 12 };

function codesOf(entries) {
  return Buffer.from(entries.map(({ code }) => CODES[code])).toString("base64");
}

// The gateway shows base64 as the hex of its letters.
function hexOfText(text) {
  return Buffer.from(text, "ascii").toString("hex");
}

module.exports = { CODES, Chain, NotFound };
