// Websocket clients: they say which topics they listen to, get batches of events and acknowledge
// each, or listen to what became of transactions that nobody waited for.
"use strict";

const { EventEmitter } = require("node:events");
const { WebSocketServer } = require("ws");
const { json } = require("./go");

const CLIENTS_MAX = 100;
const MESSAGE_BYTES_MAX = 65_536;

/** The websocket clients of a gateway. Emits `listening` when one has said something. */
class Listeners extends EventEmitter {
  constructor(receipts) {
    super();
    this.setMaxListeners(0);
    this.clients = new Set();
    this.server = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX });
    receipts.on("receipt", (receipt) => this.reply(receipt));
  }

  /** Takes over a request that wants to be a websocket. */
  upgrade(request, socket, head) {
    if (this.clients.size >= CLIENTS_MAX) {
      return socket.destroy();
    }
    return this.server.handleUpgrade(request, socket, head, (opened) => this.open(opened));
  }

  /** A client that listens to a topic and has no batch to acknowledge. */
  first(topic) {
    const isFree = ({ topics, waiting }) => topics.has(topic) && !waiting.has(topic);
    return [...this.clients].find(isFree);
  }

  /** Ends all connections. */
  closeAll() {
    this.clients.forEach(({ socket }) => socket.terminate());
  }

  open(socket) {
    const client = new Client(socket);
    this.clients.add(client);
    socket.on("message", (bytes) => {
      client.hear(bytes);
      this.emit("listening");
    });
    // An error is followed by the end.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.clients.delete(client);
      client.end();
    });
  }

  reply(receipt) {
    for (const client of this.clients) {
      if (client.wantsReplies) {
        client.socket.send(json(receipt));
      }
    }
  }
}

/** One connection. */
class Client {
  constructor(socket) {
    this.socket = socket;
    this.topics = new Set();
    this.waiting = new Map();
    this.wantsReplies = false;
  }

  /** Sends a batch; says `ack` or `error` as the client answers, or `gone`. */
  deliver(topic, entries) {
    return new Promise((resolve) => {
      this.waiting.set(topic, resolve);
      this.socket.send(json(entries));
    });
  }

  /** Does what a message says; ends the connection where it is none. */
  hear(bytes) {
    const message = parsed(bytes);
    const topic = typeof message?.topic === "string" ? message.topic : "";
    switch (String(message?.type).toLowerCase()) {
      case "listen":
        return this.topics.add(topic);
      case "listenreplies":
        this.wantsReplies = true;
        return undefined;
      case "ack":
      case "error":
        return this.answer(topic, message.type.toLowerCase());
      default:
        return message === undefined ? this.socket.terminate() : undefined;
    }
  }

  /** What was not acknowledged never will be. */
  end() {
    [...this.waiting.keys()].forEach((topic) => this.answer(topic, "gone"));
  }

  answer(topic, answer) {
    const resolve = this.waiting.get(topic);
    this.waiting.delete(topic);
    resolve?.(answer);
  }
}

function parsed(bytes) {
  try {
    return JSON.parse(bytes.toString("utf8")) ?? undefined;
  } catch {
    return undefined;
  }
}

module.exports = { Listeners };
