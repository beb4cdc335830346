// The double's own port, which the real gateway has nothing of: arms faults, restarts the gateway,
// says what happened so far. On the loopback address only.
"use strict";

const http = require("node:http");
const { BadFault } = require("./faults");
const { json } = require("./go");

const BODY_BYTES_MAX = 16_384;
const DOWN_MS_MAX = 60_000;

/** The admin server over a network. */
class Admin {
  constructor({ faults, gateway, channel }) {
    Object.assign(this, { faults, gateway, channel });
    this.server = http.createServer((request, response) => this.handle(request, response));
  }

  /** Listens on a free port and gives its URL. */
  async listen() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** Ends it. */
  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  async handle(request, response) {
    try {
      const answer = await this.answer(request);
      response.writeHead(answer ? 200 : 404, { "Content-Type": "application/json" });
      response.end(json(answer ?? { error: "no such path" }, { indent: true }));
    } catch (error) {
      const status = error instanceof BadFault ? 400 : 500;
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(json({ error: error.message }));
    }
  }

  async answer(request) {
    switch (`${request.method} ${request.url}`) {
      case "GET /":
        return this.tell();
      case "POST /faults":
        return this.arm(await bodyOf(request));
      case "DELETE /faults":
        return this.disarm();
      case "POST /restart":
        return this.restart(await bodyOf(request));
      default:
        return undefined;
    }
  }

  tell() {
    const { counts, chain } = this.channel;
    const { armed, fired } = this.faults;
    return { double: true, armed, fired, height: chain.height, counts };
  }

  arm(asked) {
    const fault = this.faults.arm(asked);
    if (fault.fault === "unplug") {
      this.channel.peers.forEach((peer) => peer.unplug());
    }
    return fault;
  }

  disarm() {
    this.faults.disarm();
    this.channel.peers.forEach((peer) => peer.plug());
    return this.tell();
  }

  // Answers once the gateway listens again.
  async restart({ downMs = 0 }) {
    if (!Number.isInteger(downMs) || downMs < 0 || downMs > DOWN_MS_MAX) {
      throw new BadFault(`downMs is 0 to ${DOWN_MS_MAX}`);
    }
    await this.gateway.restart(downMs);
    return this.tell();
  }
}

async function bodyOf(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new BadFault("the body is too large");
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8") || "{}");
  } catch {
    throw new BadFault("the body is not JSON");
  }
}

module.exports = { Admin };
