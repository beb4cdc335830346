// FabConnect's HTTP surface over the channel: its paths, its shapes and its quirks, as they were
// recorded from a real one. Each answer says in a header that this is a double.
"use strict";

const { randomUUID, timingSafeEqual } = require("node:crypto");
const http = require("node:http");
const https = require("node:https");
const { NotFound } = require("./chain");
const { json } = require("./go");
const { bodyOf, lookupOf, queryOf, submitOf } = require("./params");
const { Hangup, Refusal } = require("./transactions");

const DOUBLE = "a test double: no peer, no orderer, nothing is durable";
const NO_TIMES = { timeReceived: "", timeElapsed: 0, requestOffset: "", requestId: "" };
const TOO_MANY = "Too many in-flight transactions";
const CONNECTIONS_MAX = 1_000;

/** The gateway's server. */
class Gateway {
  constructor({ transactions, receipts, identities, streams, listeners, faults, limits, guard }) {
    Object.assign(this, { transactions, receipts, identities, streams, listeners, faults });
    Object.assign(this, { limits, guard });
    this.inFlight = 0;
    // What was begun before a restart leaves no receipt.
    this.life = 0;
    const handle = (request, response) => this.handle(request, response);
    this.server = guard.tls ? https.createServer(guard.tls, handle) : http.createServer(handle);
    this.server.maxConnections = CONNECTIONS_MAX;
    this.server.on("upgrade", (...asked) => this.upgrade(...asked));
    this.routes = routesOf(this);
  }

  /** Listens on the loopback address; 0 is any free port. Gives its URL. */
  async listen(port) {
    await new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(port, "127.0.0.1", () => resolve(this.server.off("error", reject)));
    });
    this.port = this.server.address().port;
    return `${this.guard.tls ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  /** Ends all connections and listens no more. */
  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.listeners.closeAll();
    this.server.closeAllConnections();
    await closed;
  }

  /** As if the gateway's process had been ended and started again after a while. */
  async restart(downMs) {
    await this.close();
    this.life += 1;
    this.inFlight = 0;
    this.streams.restart();
    await new Promise((resolve) => setTimeout(resolve, downMs));
    await this.listen(this.port);
  }

  async handle(request, response) {
    response.setHeader("X-SDPP-Double", DOUBLE);
    try {
      const url = new URL(request.url, "http://gateway");
      if (!this.isAllowed(request)) {
        response.setHeader("WWW-Authenticate", 'Bearer, Basic realm="fabconnect"');
        throw new Refusal(401, "Unauthorized");
      }
      await this.route(request, response, url);
    } catch (error) {
      this.fail(request, response, error);
    }
  }

  async route(request, response, url) {
    for (const [method, pattern, serve] of this.routes) {
      const found = request.method === method && pattern.exec(url.pathname);
      if (found) {
        const answer = await serve({ request, url, name: found[1] });
        return send(response, answer);
      }
    }
    response.setHeader("X-Content-Type-Options", "nosniff");
    response.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" });
    return response.end("404 page not found\n");
  }

  fail(request, response, error) {
    if (error instanceof Refusal) {
      return send(response, { status: error.status, body: { error: error.message } });
    }
    // A client that went away gets no answer, and that is no fault of the double.
    if (!(error instanceof Hangup) && !request.destroyed) {
      console.error(`double: ${request.method} ${request.url}: ${error.stack}`);
    }
    return request.socket.destroy();
  }

  upgrade(request, socket, head) {
    if (new URL(request.url, "http://gateway").pathname !== "/ws") {
      return socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n");
    }
    if (!this.isAllowed(request)) {
      return socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    }
    return this.listeners.upgrade(request, socket, head);
  }

  // What an operator puts in front of the real one, which lets everybody in.
  isAllowed(request) {
    const { bearer, basic } = this.guard;
    const given = request.headers.authorization ?? "";
    const [scheme, rest] = [given.split(" ", 1)[0].toLowerCase(), given.replace(/^\S*\s*/, "")];
    const isOpen = bearer === undefined && basic === undefined;
    const base64 = basic && Buffer.from(basic, "utf8").toString("base64");
    return (
      isOpen ||
      (scheme === "bearer" && isSecret(rest, bearer)) ||
      (scheme === "basic" && isSecret(rest, base64))
    );
  }

  async submit({ request, url }) {
    const received = new Date();
    const { message, sync, ack } = submitOf(await bodyOf(request), url, request.headers);
    if (this.faults.take("inflight", { func: message.func })) {
      throw new Refusal(500, TOO_MANY);
    }
    if (sync) {
      const done = await this.transactions.submit(message);
      const requestId = message.isNamed ? message.id : "";
      return { body: success(done, received, requestId), indent: true };
    }
    return this.submitLater(message, received, ack);
  }

  // The limit is on these alone, as in the real gateway: those that are waited for are not counted.
  submitLater(message, received, ack) {
    if (this.inFlight >= this.limits.inFlight) {
      throw new Refusal(500, TOO_MANY);
    }
    this.inFlight += 1;
    const { life } = this;
    const finish = (receipt) => {
      if (life === this.life) {
        this.inFlight -= 1;
        this.receipts.keep(receipt);
      }
    };
    this.transactions
      .submit(message)
      .then((done) => finish(receiptOf(success(done, received, message.id), message.id)))
      .catch((error) => finish(errorReceipt(error, message, received)));
    return ack ? { status: 202, body: { sent: true, id: message.id } } : { status: 200 };
  }

  async query({ request, url }) {
    const message = queryOf(await bodyOf(request), url, request.headers);
    const payload = await this.transactions.query(message);
    const headers = { channel: message.channel, ...NO_TIMES };
    return { body: { headers, result: decoded(payload) }, indent: true };
  }

  // A look-up: `find` asks the chain, `what` is its name in an error.
  async lookup({ url, request }, what, find) {
    const asked = lookupOf(url, request.headers);
    this.transactions.clientOf(asked);
    await this.transactions.before(undefined, "lookup");
    try {
      return { body: { headers: NO_TIMES, result: find() }, indent: true };
    } catch (error) {
      if (!(error instanceof NotFound)) {
        throw error;
      }
      const text = `Chaincode status Code: (500) UNKNOWN. Description: ${error.message}`;
      throw new Refusal(500, `${what} failed: ${this.transactions.atEndorser(text)}`);
    }
  }

  listReceipts({ url }) {
    const { searchParams } = url;
    const { receipts, error } = this.receipts.list(
      searchParams.getAll("id"),
      searchParams.get("limit"),
    );
    if (error) {
      throw new Refusal(400, error);
    }
    return { body: receipts, indent: true };
  }

  receipt({ name }) {
    const receipt = this.receipts.get(name);
    if (!receipt) {
      throw new Refusal(404, "Receipt not available");
    }
    return { body: receipt, indent: true };
  }
}

function routesOf(gateway) {
  const { identities, streams } = gateway;
  const { chain } = gateway.transactions.channel;
  const shown = (value) => ({ body: value, indent: true });
  const withBody = (serve) => async (asked) => {
    const body = await bodyOf(asked.request);
    return shown(serve(body, asked.name));
  };
  const block = (asked) => {
    if (!/^\d{1,15}$/.test(asked.name)) {
      throw new Refusal(400, "Invalid block number");
    }
    return gateway.lookup(asked, "QueryBlock", () => chain.byNumber(Number(asked.name)));
  };
  return [
    ["GET", /^\/status$/, () => ({ body: { ok: true } })],
    ["POST", /^\/transactions$/, (asked) => gateway.submit(asked)],
    ["POST", /^\/query$/, (asked) => gateway.query(asked)],
    ["GET", /^\/transactions\/([^/]+)$/, (asked) =>
      gateway.lookup(asked, "QueryTransaction", () => chain.transaction(asked.name))],
    ["GET", /^\/blockByTxId\/([^/]+)$/, (asked) =>
      gateway.lookup(asked, "QueryBlockByTxID", () => chain.byTx(asked.name))],
    ["GET", /^\/blocks\/([^/]+)$/, block],
    ["GET", /^\/chaininfo$/, (asked) =>
      gateway.lookup(asked, "QueryChainInfo", () => chain.info())],
    ["GET", /^\/receipts$/, (asked) => gateway.listReceipts(asked)],
    ["GET", /^\/receipts\/([^/]+)$/, (asked) => gateway.receipt(asked)],
    ["GET", /^\/identities$/, () => shown(identities.list())],
    ["POST", /^\/identities$/, withBody((body) => identities.register(body))],
    ["GET", /^\/identities\/([^/]+)$/, ({ name }) => shown(identities.get(name))],
    ["PUT", /^\/identities\/([^/]+)$/, withBody((body, name) => identities.modify(name, body))],
    ["POST", /^\/identities\/([^/]+)\/enroll$/,
      withBody((body, name) => identities.enroll(name, body))],
    ["POST", /^\/identities\/([^/]+)\/reenroll$/,
      withBody((body, name) => identities.reenroll(name, body))],
    ["GET", /^\/eventstreams$/, () => shown([...streams.streams.values()].map(({ info }) => info))],
    ["POST", /^\/eventstreams$/, withBody((body) => streams.addStream(body))],
    ["GET", /^\/eventstreams\/([^/]+)$/, ({ name }) => shown(streams.stream(name).info)],
    ["DELETE", /^\/eventstreams\/([^/]+)$/, ({ name }) => shown(streams.deleteStream(name))],
    ["POST", /^\/eventstreams\/([^/]+)\/suspend$/, ({ name }) => {
      streams.stream(name).suspend(true);
      return shown({ id: name, suspended: "true" });
    }],
    ["POST", /^\/eventstreams\/([^/]+)\/resume$/, ({ name }) => {
      streams.stream(name).suspend(false);
      return shown({ id: name, resumed: "true" });
    }],
    ["GET", /^\/subscriptions$/, () =>
      shown([...streams.subscriptions.values()].map(({ info }) => info))],
    ["POST", /^\/subscriptions$/, withBody((body) => streams.addSubscription(body))],
    ["GET", /^\/subscriptions\/([^/]+)$/, ({ name }) => shown(streams.subscription(name).info)],
    ["DELETE", /^\/subscriptions\/([^/]+)$/, ({ name }) => shown(streams.deleteSubscription(name))],
  ];
}

function success({ tx, number, signer, msp }, received, requestId) {
  return {
    headers: {
      id: randomUUID(),
      type: "TransactionSuccess",
      timeReceived: received.toISOString(),
      timeElapsed: (Date.now() - received) / 1000,
      requestOffset: "",
      requestId,
    },
    blockNumber: number,
    signerMSP: msp,
    signer,
    transactionHash: tx,
    status: "VALID",
  };
}

// The store writes a receipt's fields in the order of their names.
function receiptOf({ headers, ...rest }, id) {
  return sorted({ _id: id, headers: sorted(headers), receivedAt: Date.now(), ...rest });
}

function errorReceipt(error, message, received) {
  const { channel, chaincode, signer, func, args, id } = message;
  const headers = { id, type: "SendTransaction", signer, channel, chaincode };
  const own = success({}, received, id).headers;
  return sorted({
    _id: id,
    errorMessage: error.message,
    headers: sorted({ ...own, type: "Error" }),
    receivedAt: Date.now(),
    requestPayload: json({ headers, init: false, func, args }),
  });
}

function sorted(object) {
  return Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));
}

// The gateway decodes what is JSON; anything else is a text.
function decoded(payload) {
  const text = payload.toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function isSecret(given, secret) {
  if (secret === undefined) {
    return false;
  }
  const [a, b] = [Buffer.from(given, "utf8"), Buffer.from(secret, "utf8")];
  return a.length === b.length && timingSafeEqual(a, b);
}

function send(response, { status = 200, body, indent = false }) {
  if (body === undefined) {
    return response.writeHead(status, { "Content-Length": 0 }).end();
  }
  const bytes = Buffer.from(json(body, { indent }), "utf8");
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": bytes.length,
  });
  return response.end(bytes);
}

module.exports = { Gateway };
