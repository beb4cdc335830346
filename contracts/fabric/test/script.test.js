// scripts/fabric, as a person runs it: up, again, after a crash, down; and the double's own command
// with a lock on its door.
"use strict";

const assert = require("node:assert/strict");
const { execFile, spawn, spawnSync } = require("node:child_process");
const { X509Certificate, createECDH } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { after, before, test } = require("node:test");

const HOME = path.join(__dirname, "..");
const SCRIPT = path.join(HOME, "../../scripts/fabric");
let dir;

before(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "sdpp-fabric-"));
});
after(async () => {
  await script("down");
  fs.rmSync(dir, { recursive: true });
});

test("up, again, killed, up again, down", async () => {
  assert.equal((await script("status")).code, 1);
  const up = await script("up");
  assert.equal(up.code, 0, up.said);
  assert.match(up.said, /THIS IS NO FABRIC NETWORK/);
  const first = network();
  assert.equal(first.double, true);
  await hasMoney(first);
  const configs = () => ["seller.toml", "buyer.toml", "seller.key"].map((name) => read(dir, name));
  const written = configs();
  configsSay(first);
  for (const side of ["seller", "buyer"]) {
    fs.mkdirSync(path.join(dir, `${side}-journal`));
    const { mode } = fs.statSync(path.join(dir, `${side}.key`));
    assert.equal(mode & 0o077, 0, "others can read the key");
  }
  assert.equal((await script("up")).code, 0);
  assert.deepEqual(configs(), written, "up again wrote others");
  assert.deepEqual(network(), first, "up again began anew");
  const link = path.join(dir, "link");
  fs.symlinkSync(dir, link);
  for (const same of [`${dir}/`, `${dir}//.`, path.relative(HOME, dir), link]) {
    assert.match((await script("status", same)).said, /: up/, same);
    assert.equal((await script("up", same)).code, 0);
    assert.deepEqual(network(), first, `up in ${same} began anew`);
  }
  const { said } = await script("status");
  assert.ok(said.includes(`${first.url}, process ${first.pids.gateway}`), said);

  process.kill(first.pids.gateway, "SIGKILL");
  await Promise.all(Object.values(first.pids).map(gone));
  assert.equal((await script("status")).code, 1);
  assert.equal((await script("up")).code, 0);
  const second = network();
  assert.equal(second.url, first.url);
  assert.notEqual(second.genesis, first.genesis);
  await hasMoney(second);
  configsSay(second);
  assert.equal(read(dir, "seller.key"), written[2], "another ledger made another seller");
  for (const side of ["seller", "buyer"]) {
    const of = `${side}-journal-of-${first.genesis.slice(0, 12)}`;
    assert.equal(fs.existsSync(path.join(dir, of)), true, `${side}: a journal of no ledger`);
    assert.equal(fs.existsSync(path.join(dir, `${side}-journal`)), false);
  }

  const down = await script("down");
  assert.match(down.said, /stopped/);
  await Promise.all(Object.values(second.pids).map(gone));
  assert.match((await script("down")).said, /not up/);
});

test("down leaves alone a process that got its number since", async () => {
  const own = fs.mkdtempSync(path.join(dir, "stale-"));
  const other = spawn("sleep", ["600"], { stdio: "ignore" });
  try {
    // Such a line each, as the double writes it.
    const stale = JSON.stringify({ pids: { gateway: other.pid } }, null, 2);
    fs.writeFileSync(path.join(own, "network.json"), stale);
    assert.match((await script("down", own)).said, /not up/);
    assert.equal(other.exitCode ?? other.signalCode, null);
    process.kill(other.pid, 0);
  } finally {
    other.kill("SIGKILL");
  }
});

const flock = spawnSync("flock", ["--version"]).error ? "needs flock" : false;
test("down waits for who is at work there", { skip: flock }, async () => {
  const own = fs.mkdtempSync(path.join(dir, "locked-"));
  const lock = path.join(own, "lock");
  const holder = spawn("flock", [lock, "sh", "-c", "echo held; read word"]);
  await new Promise((resolve) => holder.stdout.once("data", resolve));
  let isLetGo = false;
  const down = script("down", own).then(({ said }) => [said.trim(), isLetGo]);
  // It has no way to say that it waits: long enough for one that would not.
  await new Promise((resolve) => setTimeout(resolve, 300));
  isLetGo = true;
  holder.stdin.end("on\n");
  assert.deepEqual(await down, ["fabric: not up", true]);
});

test("up begins no other ledger under the feet of who runs", { skip: flock }, async () => {
  const own = fs.mkdtempSync(path.join(dir, "in-use-"));
  const journal = path.join(own, "seller-journal");
  fs.mkdirSync(journal);
  const lock = path.join(journal, "lock");
  const holder = spawn("flock", [lock, "sh", "-c", "echo held; read word"]);
  await new Promise((resolve) => holder.stdout.once("data", resolve));
  const { code, said } = await script("up", own);
  holder.stdin.end("on\n");
  assert.equal(code, 1);
  assert.match(said, /stop process/);
  assert.equal(fs.existsSync(path.join(own, "network.json")), false, "it began one all the same");
});

test("another word is refused with what can be said", async () => {
  const { code, said } = await script("sideways");
  assert.deepEqual([code, said.trim()], [2, "usage: scripts/fabric up | down | status"]);
});

test("the double's command can ask for a token and for certificates", async () => {
  const own = path.join(dir, "guarded");
  const main = path.join(HOME, "double/main.js");
  const args = [main, "--dir", own, "--tls", "--block-ms", "5"];
  const env = { ...process.env, SDPP_DOUBLE_BEARER: "a-token" };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  try {
    const said = await new Promise((resolve) => child.stdout.once("data", resolve));
    assert.match(`${said}`, /^double: THIS IS NO FABRIC NETWORK/);
    assert.match(JSON.parse(read(own, "network.json")).url, /^https:/);
    const ca = new X509Certificate(read(own, "tls-ca.pem"));
    assert.equal(new X509Certificate(read(own, "tls-cert.pem")).checkIssued(ca), true);
    assert.match(read(own, "tls-key.pem"), /PRIVATE KEY/);
    const { mode } = fs.statSync(path.join(own, "tls-key.pem"));
    assert.equal(mode & 0o077, 0, "others can read the key");
  } finally {
    child.kill("SIGTERM");
  }
  await Promise.all(Object.values(JSON.parse(read(own, "network.json")).pids).map(gone));
});

test("the double's command refuses what it does not understand", async () => {
  const main = path.join(HOME, "double/main.js");
  const port = (text) => ["--dir", dir, "--port", text];
  for (const args of [[], port("x"), port("65536"), ["--x"]]) {
    const { code, said } = await run(process.execPath, [main, ...args]);
    assert.equal(code, 1);
    assert.match(said, /^double: /);
  }
});

// That both configs are for this network, and that the buyer knows the seller's key.
function configsSay({ url, channel, chaincode }) {
  const [seller, buyer] = ["seller", "buyer"].map((side) => read(dir, `${side}.toml`));
  for (const [side, text] of Object.entries({ seller, buyer })) {
    const at = { gateway: url, channel, chaincode, signer: side };
    for (const [key, value] of Object.entries(at)) {
      assert.ok(text.includes(`\n${key} = "${value}"\n`), `${side}: ${key}\n${text}`);
    }
  }
  const ecdh = createECDH("secp256k1");
  ecdh.setPrivateKey(read(dir, "seller.key").trim().slice(2), "hex");
  const known = `"127.0.0.1:9620" = "0x${ecdh.getPublicKey("hex", "compressed")}"`;
  assert.ok(buyer.includes(known), buyer);
}

function script(word, where = dir) {
  const env = { ...process.env, SDPP_FABRIC_DIR: where, SDPP_FABRIC_BLOCK_MS: "10" };
  return run(SCRIPT, [word], env);
}

function run(command, args, env = process.env) {
  return new Promise((resolve) => {
    execFile(command, args, { cwd: HOME, env }, (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, said: stdout + stderr }));
  });
}

function network() {
  return JSON.parse(read(dir, "network.json"));
}

function read(folder, name) {
  return fs.readFileSync(path.join(folder, name), "utf8");
}

async function hasMoney({ url, channel, chaincode, signers }) {
  const buyer = signers.find(({ name }) => name === "buyer");
  const where = `fly-channel=${channel}&fly-chaincode=${chaincode}&fly-signer=buyer`;
  const args = [buyer.account, "Org1MSP/USD"];
  const body = JSON.stringify({ headers: {}, func: "GetBalance", args });
  const answer = await fetch(`${url}/query?${where}`, { method: "POST", body });
  assert.equal((await answer.json()).result.balance, "1000000000000");
}

// A process that was ended may stay as a zombie until its parent asks; that is gone enough.
async function gone(pid) {
  for (;;) {
    try {
      process.kill(pid, 0);
      if (/^\d+ \(.*\) Z/.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))) {
        return;
      }
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
