// Submits and questions as the gateway does them: its retries at conflicts, its time-out, its limit
// on what is in flight, its texts.
"use strict";

const { setTimeout: sleep } = require("node:timers/promises");
const { NetworkError } = require("./channel");
const { TEXTS } = require("./faults");
const { ChaincodeError } = require("./peer");

/** An answer with an error in it. */
class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** No answer at all: the socket is closed, as it is when the gateway's handler panics. */
class Hangup extends Error {}

/** What the gateway does with a channel for its clients. */
class Transactions {
  constructor({ channel, signers, faults, limits, endorser }) {
    Object.assign(this, { channel, signers, faults, limits, endorser });
  }

  /** A transaction that is valid and final: its id, block and signer. */
  async submit(message) {
    const { func } = message;
    const client = this.clientOf(message);
    this.mustNotBeUnknown(message);
    await this.before(func, "submit");
    const late = this.faults.take("freeze", { when: "late", func });
    if (late) {
      return this.applyLate(message, client, late.ms);
    }
    const done = await this.withRetries(message, client);
    await this.after(func);
    return { ...done, signer: client.name, msp: client.msp };
  }

  /** The chaincode's answer to a question. */
  async query(message) {
    const client = this.clientOf(message);
    if (message.chaincode !== this.channel.chaincode) {
      const name = message.chaincode;
      const advice = `make sure the chaincode ${name} has been successfully defined on channel`;
      const code = "Endorser Client Status Code: (23) CHAINCODE_NAME_NOT_FOUND. Description: ";
      const missing = `${message.channel} and try again: chaincode ${name} not found`;
      throw new Refusal(500, this.atEndorser(`${code}${advice} ${missing}`));
    }
    await this.before(message.func, "query");
    try {
      return await this.channel.query({ ...message, client });
    } catch (error) {
      throw this.refusalOf(error, "");
    }
  }

  /** The client that signs, where both it and the channel are known. */
  clientOf({ signer, channel }) {
    const failed = "Failed to create new channel client:";
    const client = this.signers.get(signer);
    if (!client) {
      const why = "failed to get client context to create channel client: user not found";
      throw new Refusal(500, `${failed} failed to create channel context: ${why}`);
    }
    if (channel !== this.channel.name) {
      const why = `QueryBlockConfig failed: no channel peers configured for channel [${channel}]`;
      const where = "event service creation failed: could not get chConfig cache reference";
      throw new Refusal(500, `${failed} ${where}: ${why}`);
    }
    return client;
  }

  /** Faults that happen before a call is done. */
  async before(func, on) {
    const refusal = this.faults.take("refuse", { on, func });
    if (refusal) {
      throw new Refusal(500, `${on === "submit" ? "Failed to submit: " : ""}${refusal.text}`);
    }
    if (this.faults.take("close", { on, when: "before", func })) {
      throw new Hangup();
    }
    const frozen = this.faults.take("freeze", { on, when: "before", func });
    if (frozen) {
      await this.timeOut(on, frozen.ms);
    }
  }

  async after(func) {
    const frozen = this.faults.take("freeze", { when: "after", func });
    if (frozen) {
      await this.timeOut("submit", frozen.ms);
    }
    if (this.faults.take("close", { when: "after", func })) {
      throw new Hangup();
    }
  }

  // The client is told that it timed out, and later it is applied after all.
  async applyLate(message, client, ms) {
    const applied = sleep(this.limits.waitMs + ms).then(() => this.withRetries(message, client));
    applied.catch(() => {});
    return this.timeOut("submit");
  }

  async timeOut(on, ms) {
    await sleep(ms || this.limits.waitMs);
    throw new Refusal(500, `${on === "submit" ? "Failed to submit: " : ""}${TEXTS.TIMEOUT}`);
  }

  // Each try is a transaction of its own, endorsed anew.
  async withRetries(message, client) {
    let wait = this.limits.retryMs;
    for (let left = this.limits.tries; ; left -= 1) {
      const { tx, number, code } = await this.once(message, client);
      if (code === "VALID") {
        return { tx, number };
      }
      if (left <= 1) {
        throw new Refusal(500, `Failed to submit: ${TEXTS[code]}`);
      }
      await sleep(wait);
      wait *= 2;
    }
  }

  async once(message, client) {
    try {
      const tx = await this.channel.endorse({ ...message, client });
      const { number, code } = await this.channel.order(tx);
      return { tx: tx.proposal.tx, number, code };
    } catch (error) {
      throw this.refusalOf(error, "Failed to submit: ");
    }
  }

  mustNotBeUnknown({ chaincode, channel }) {
    if (chaincode === this.channel.chaincode) {
      return;
    }
    const descriptor = `failed constructing descriptor for chaincodes:{name:"${chaincode}"}`;
    const status = "Discovery status Code: (11) UNKNOWN. Description:";
    const discovery = `${status} error received from Discovery Server: ${descriptor}`;
    const where = `error getting channel response for channel [${channel}]`;
    throw new Refusal(500, `Failed to submit: ${where}: ${discovery}`);
  }

  refusalOf(error, prefix) {
    if (error instanceof ChaincodeError) {
      const text = `Chaincode status Code: (500) UNKNOWN. Description: ${error.message}`;
      return new Refusal(500, prefix + this.atEndorser(text));
    }
    return error instanceof NetworkError ? new Refusal(500, prefix + error.message) : error;
  }

  atEndorser(text) {
    return `Transaction processing for endorser [${this.endorser}]: ${text}`;
  }
}

module.exports = { Hangup, Refusal, Transactions };
