// What the tests run on: a double of their own, or the real gateway that SDPP_FABRIC_URL names, and
// clients to call the chaincode as. Whatever is called has references of its own, so tests can run
// any number of times on one network.
"use strict";

const { randomBytes } = require("node:crypto");
const { startNetwork } = require("../double/network");

const env = process.env;
/** Whether the tests run on a real gateway. */
const isReal = Boolean(env.SDPP_FABRIC_URL);
/** Quick blocks and retries, as nobody else waits for them. */
const QUICK = { blockMs: 15, retryMs: 15, waitMs: 250 };

/** A network with a chaincode on it. */
class Rig {
  /** Starts a double, with options of its own; on a real gateway only connects to it. */
  static async open(options = {}) {
    return isReal ? Rig.real() : Rig.double(options);
  }

  /** Starts a double, also where the other tests run on a real gateway. */
  static async double(options = {}) {
    const network = await startNetwork({ ...QUICK, ...options });
    return new Rig(network);
  }

  static real() {
    return new Rig({
      url: env.SDPP_FABRIC_URL.replace(/\/$/, ""),
      channel: needed("SDPP_FABRIC_CHANNEL"),
      chaincode: needed("SDPP_FABRIC_CHAINCODE"),
      signers: [{ name: needed("SDPP_FABRIC_SIGNER") }],
      stop: async () => {},
    });
  }

  constructor(network) {
    this.network = network;
    const authorization = isReal && env.SDPP_FABRIC_AUTHORIZATION;
    this.headers = authorization ? { authorization } : {};
  }

  /** Ends what was started. */
  stop() {
    return this.network.stop();
  }

  /** Sends a request; the answer's status, headers, text and, where it is JSON, body. */
  async request(method, path, body) {
    const isText = typeof body === "string";
    const response = await fetch(`${this.network.url}${path}`, {
      method,
      headers: { "Content-Type": "application/json", ...this.headers },
      body: body === undefined || isText ? body : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: parsed(text) };
  }

  /** The query part that says channel, chaincode and signer. */
  as(signer, more = "") {
    const { channel, chaincode } = this.network;
    return `?fly-channel=${channel}&fly-chaincode=${chaincode}&fly-signer=${signer}${more}`;
  }

  /** Looks something up: `transactions`, `blockByTxId` and so on. */
  async lookup(what, signer = this.network.signers[0].name) {
    return this.request("GET", `/${what}${this.as(signer)}`);
  }

  /** Arms a fault of the double. */
  async fault(fault) {
    return this.admin("POST", "/faults", fault);
  }

  /** Asks the double's own port. */
  async admin(method, path, body) {
    const response = await fetch(`${this.network.faults}${path}`, {
      method,
      body: body && JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  }

  /** The client of a signer that there is. */
  client(name) {
    return new Client(this, name);
  }

  /** A new client, with an account unless it is to have none. On a real gateway its CA must let us
   * register clients. */
  async newClient({ attributes = {}, account = true } = {}) {
    const name = `sdpp-${randomBytes(6).toString("hex")}`;
    const made = await this.request("POST", "/identities", { name, type: "client", attributes });
    if (made.status !== 200) {
      throw new Error(`a client must be registered, and: ${made.text}`);
    }
    const asked = Object.fromEntries(Object.keys(attributes).map((key) => [key, true]));
    const secret = { secret: made.body.secret, attributes: asked };
    const enrolled = await this.request("POST", `/identities/${name}/enroll`, secret);
    if (enrolled.status !== 200) {
      throw new Error(`a client must be enrolled, and: ${enrolled.text}`);
    }
    const client = new Client(this, name);
    await client.begin(account);
    return client;
  }

  /** So many new clients. */
  newClients(count, options) {
    return Promise.all(Array.from({ length: count }, () => this.newClient(options)));
  }

  /** A new admin of its organisation's money. */
  newAdmin() {
    return this.newClient({ attributes: { "sdpp.admin": "true" } });
  }
}

/** One signer of the gateway. */
class Client {
  constructor(rig, name) {
    Object.assign(this, { rig, name });
  }

  /** Learns its account, and opens it. */
  async begin(withAccount = true) {
    const { account, msp } = await this.query("WhoAmI");
    Object.assign(this, { account, msp });
    if (withAccount) {
      await this.submit("OpenAccount");
    }
    return this;
  }

  /** Submits whatever comes of it: the answer as it is. */
  async trySubmit(func, ...args) {
    return this.tryWith(undefined, func, ...args);
  }

  /** Submits with private arguments. */
  async tryWith(transientMap, func, ...args) {
    const body = { headers: { type: "SendTransaction" }, func, args, transientMap };
    return this.rig.request("POST", `/transactions${this.rig.as(this.name)}`, body);
  }

  /** Submits what must become valid; the transaction's id. */
  async submit(func, ...args) {
    return validTx(await this.trySubmit(func, ...args), func);
  }

  /** Submits what must become valid with private arguments; the transaction's id. */
  async submitWith(transientMap, func, ...args) {
    return validTx(await this.tryWith(transientMap, func, ...args), func);
  }

  /** Asks, whatever is answered. */
  async tryQuery(func, ...args) {
    return this.rig.request("POST", `/query${this.rig.as(this.name)}`, { headers: {}, func, args });
  }

  /** Asks what must be answered. */
  async query(func, ...args) {
    const answer = await this.tryQuery(func, ...args);
    if (answer.status !== 200) {
      throw new Error(`${func} had to be answered, and: ${answer.text}`);
    }
    return answer.body.result;
  }

  /** The refusal that a submit must get: its code and text. */
  async refusal(func, ...args) {
    return refusalOf(await this.trySubmit(func, ...args), "Failed to submit: ");
  }

  /** The refusal that a question must get. */
  async queryRefusal(func, ...args) {
    return refusalOf(await this.tryQuery(func, ...args), "");
  }

  /** What was written under a reference of its own. */
  row(type, reference) {
    return this.query("Get", type, this.account, reference);
  }

  /** What it has, all in all. */
  async total(asset) {
    return BigInt((await this.query("GetBalance", this.account, asset)).total);
  }

  /** Sweeps all that waits. */
  async sweep(asset) {
    const { credits } = await this.query("ListCredits", this.account, asset);
    const names = JSON.stringify(credits.map(({ tx }) => tx));
    return this.submit("Sweep", fresh("sweep"), asset, names);
  }

  /** The transaction in its block: its code and event. */
  async inBlock(tx) {
    const { body } = await this.rig.lookup(`blockByTxId/${tx}`, this.name);
    const found = body.result.block.transactions.find(({ tx_id: id }) => id === tx);
    return { status: found.status, event: found.actions[0].event, transaction: found, block: body };
  }

  /** The codes of all that the clients of these transactions have in the blocks of these: others
   * may be at work on the same network. */
  async codesAround(txs) {
    const seen = new Map();
    for (const tx of txs) {
      if (!seen.has(tx)) {
        const { block } = await this.inBlock(tx);
        block.result.block.transactions.forEach((other) => seen.set(other.tx_id, other));
      }
    }
    const ours = new Set(txs.map((tx) => seen.get(tx).creator.cert));
    const codes = [...seen.values()].filter(({ creator }) => ours.has(creator.cert));
    return [...new Set(codes.map(({ status }) => status))];
  }
}

const CHAINCODE_SAID = new RegExp(
  "^(Failed to submit: )?Transaction processing for endorser \\[[^\\]]+\\]: " +
    "Chaincode status Code: \\(500\\) UNKNOWN\\. Description: ([A-Z_]+): (.*)$",
  "s",
);

function refusalOf({ status, text, body }, prefix) {
  const found = CHAINCODE_SAID.exec(body?.error ?? "");
  if (status !== 500 || !found || (found[1] ?? "") !== prefix) {
    throw new Error(`a refusal of the chaincode was to come, and: ${status} ${text}`);
  }
  return { code: found[2], text: found[3] };
}

function validTx({ status, text, body }, func) {
  if (status !== 200 || body?.status !== "VALID") {
    throw new Error(`${func} had to be valid, and: ${status} ${text}`);
  }
  return body.transactionHash;
}

/** A reference that nobody had before. */
function fresh(what = "ref") {
  return `${what}-${randomBytes(8).toString("hex")}`;
}

/** 32 bytes that nobody had before, as the chaincode wants digests. */
function freshDigest() {
  return `0x${randomBytes(32).toString("hex")}`;
}

function needed(name) {
  return env[name] || fail(`${name} must be set where SDPP_FABRIC_URL is`);
}

function fail(text) {
  throw new Error(text);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

module.exports = { Client, Rig, fresh, freshDigest, isReal };
