// Runs the double until it is told to end: `node double/main.js --dir DIR [--port N] ...`.
//
// It writes DIR/network.json once all of it serves. With SDPP_DOUBLE_BEARER or SDPP_DOUBLE_BASIC
// (`name:password`) in the environment it lets in only who knows that; with --tls only clients with
// a certificate, which it writes to DIR.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { parseArgs } = require("node:util");
const { startNetwork } = require("./network");

const NUMBERS = {
  port: 65_535,
  "block-ms": 60_000,
  "wait-ms": 600_000,
  "retry-ms": 60_000,
  "in-flight": 1_000,
};

async function main() {
  const { dir, ...options } = optionsOf(process.argv.slice(2));
  fs.mkdirSync(dir, { recursive: true });
  const network = await startNetwork({
    ...options,
    bearer: process.env.SDPP_DOUBLE_BEARER || undefined,
    basic: process.env.SDPP_DOUBLE_BASIC || undefined,
  });
  const end = async () => {
    await network.stop();
    process.exit(0);
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  network.chaincodeProcess.once("exit", (code) => console.log(`double: chaincode ended: ${code}`));
  writeTls(dir, network.tls);
  tell(dir, network);
}

function optionsOf(args) {
  const { values } = parseArgs({
    args,
    options: {
      dir: { type: "string" },
      seed: { type: "boolean", default: false },
      tls: { type: "boolean", default: false },
      ...Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, { type: "string" }])),
    },
  });
  if (!values.dir) {
    throw new Error("--dir says where to write network.json");
  }
  const options = { dir: path.resolve(values.dir), seed: values.seed, tls: values.tls };
  for (const [name, most] of Object.entries(NUMBERS)) {
    if (values[name] !== undefined) {
      options[camel(name)] = numberOf(name, values[name], most);
    }
  }
  return options;
}

function numberOf(name, text, most) {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (!(number <= most)) {
    throw new Error(`--${name} must be a number from 0 to ${most}, got ${text}`);
  }
  return number;
}

function camel(name) {
  return name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
}

function writeTls(dir, tls) {
  for (const [name, pem] of Object.entries(tls ?? {})) {
    write(path.join(dir, `tls-${name}.pem`), pem);
  }
}

// Written whole or not at all: who waits for the file reads it at once.
function tell(dir, { url, faults, channel, chaincode, genesis, signers, chaincodeProcess }) {
  const pids = { gateway: process.pid, chaincode: chaincodeProcess.pid };
  const network = { double: true, url, faults, channel, chaincode, genesis, signers, pids };
  write(path.join(dir, "network.json"), `${JSON.stringify(network, null, 2)}\n`);
  console.log(`double: THIS IS NO FABRIC NETWORK but a test double; nothing of it is durable`);
  console.log(`double: gateway at ${url}, faults at ${faults}, channel ${channel}`);
}

function write(file, text) {
  const part = `${file}.part`;
  fs.writeFileSync(part, text, { mode: 0o600 });
  fs.renameSync(part, file);
}

main().catch((error) => {
  console.error(`double: ${error.message}`);
  process.exit(1);
});
