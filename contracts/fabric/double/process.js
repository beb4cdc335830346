// The real chaincode process: started as an operator starts it, as a service of its own on a free
// loopback port, under the official shim.
"use strict";

const { spawn } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");

const HOME = path.join(__dirname, "..");
const START_MS = 60_000;
const STOP_MS = 2_000;
const TRIES = 5;
const LOG_BYTES_MAX = 65_536;

/** Starts the chaincode and waits until it serves: its process, address and id. */
async function startChaincode(label) {
  const id = `${label}_1:${packageDigest()}`;
  // Between finding a port and using it another may take it: then with the next.
  for (let left = TRIES; ; left -= 1) {
    const started = new Chaincode(id, await freePort());
    if (await started.serves()) {
      return started;
    }
    await started.stop();
    if (left <= 1 || !started.log.includes("EADDRINUSE")) {
      throw new Error(`the chaincode did not start:\n${started.log}`);
    }
  }
}

/** A chaincode process. */
class Chaincode {
  constructor(id, port) {
    this.id = id;
    this.address = `127.0.0.1:${port}`;
    this.port = port;
    this.log = "";
    const cli = require.resolve("fabric-shim/cli.js");
    const leash = path.join(__dirname, "leash.js");
    const options = ["--chaincode-address", this.address, "--chaincode-id", id];
    const args = ["--require", leash, cli, "server", ...options];
    this.process = spawn(process.execPath, args, {
      cwd: HOME,
      env: { PATH: process.env.PATH, CORE_CHAINCODE_LOGGING_LEVEL: "CRITICAL" },
      stdio: "pipe",
    });
    this.exited = new Promise((resolve) => this.process.once("exit", resolve));
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.on("data", (bytes) => {
        this.log = (this.log + bytes).slice(-LOG_BYTES_MAX);
      });
    }
  }

  /** Whether it came to serve. */
  async serves() {
    const until = Date.now() + START_MS;
    while (Date.now() < until && this.process.exitCode === null) {
      if (await answers(this.port)) {
        return true;
      }
      await sleep(20);
    }
    return false;
  }

  /** Ends it, by its process id. */
  async stop() {
    this.process.kill("SIGTERM");
    const late = sleep(STOP_MS, false, { ref: false });
    const isOver = await Promise.race([this.exited.then(() => true), late]);
    if (!isOver) {
      this.process.kill("SIGKILL");
      await this.exited;
    }
  }
}

// What stands for a package's hash in a chaincode's id: that of its sources.
function packageDigest() {
  const source = path.join(HOME, "src");
  const hash = createHash("sha256").update(fs.readFileSync(path.join(HOME, "package.json")));
  for (const name of fs.readdirSync(source).sort()) {
    hash.update(fs.readFileSync(path.join(source, name)));
  }
  return hash.digest("hex");
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const end = (isThere) => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}

module.exports = { startChaincode };
