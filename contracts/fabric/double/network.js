// A network that is none: two organisations with a peer and clients each, one channel, one orderer,
// the gateway in front, all in this process but the chaincode, which is the real one.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { Admin } = require("./admin");
const { Organisation, accountOf } = require("./ca");
const { Channel } = require("./channel");
const { Faults } = require("./faults");
const { Gateway } = require("./gateway");
const { Identities } = require("./identities");
const { Listeners } = require("./listeners");
const { startChaincode } = require("./process");
const { Receipts } = require("./receipts");
const { Streams } = require("./streams");
const { Transactions } = require("./transactions");

/** What is not said otherwise: times as the recorded network had them. */
const DEFAULTS = {
  channel: "sdpp",
  chaincode: "sdpp",
  port: 0,
  blockMs: 200,
  blockTransactions: 100,
  waitMs: 60_000,
  retryMs: 500,
  // The record of 20 clashing transactions shows blocks of 20, 19, 18 and 17: four tries in all.
  tries: 4,
  inFlight: 10,
};
const ADMIN = { "sdpp.admin": "true" };
/** The money and amount that `seed` gives each trader. */
const SEED = { asset: "Org1MSP/USD", amount: "1000000000000" };

/** Starts a network; `stop` ends it and all that it started. */
async function startNetwork(asked = {}) {
  const options = { ...DEFAULTS, ...asked };
  const chaincode = await startChaincode(options.chaincode);
  try {
    return await assemble(options, chaincode);
  } catch (error) {
    await chaincode.stop();
    throw error;
  }
}

async function assemble(options, chaincode) {
  const organisations = [
    new Organisation("Org1MSP", "org1.example.com"),
    new Organisation("Org2MSP", "org2.example.com"),
  ];
  const identities = new Identities(organisations[0], "ca-org1");
  clientsOf(organisations).forEach((client) => identities.add(client));
  const faults = new Faults();
  const channel = new Channel({
    name: options.channel,
    chaincode: options.chaincode,
    organisations,
    collections: options.collections ?? deployed(),
    peers: { address: chaincode.address, chaincodeId: chaincode.id },
    faults,
    limits: options,
  });
  const { signers } = identities;
  const endorser = "127.0.0.1:7051";
  const parts = { channel, signers, faults, limits: options, endorser };
  const transactions = new Transactions(parts);
  const receipts = new Receipts();
  const listeners = new Listeners(receipts);
  const streams = new Streams({ channel, faults, listeners });
  const guard = guardOf(options, organisations[0]);
  const served = { transactions, receipts, identities, streams, listeners, faults, guard };
  const gateway = new Gateway({ ...served, limits: options });
  const admin = new Admin({ faults, gateway, channel });
  if (options.seed) {
    await seed(transactions, options, [...signers.values()]);
  }
  const url = await gateway.listen(options.port);
  const stop = async () => {
    streams.stop();
    await Promise.all([gateway.close(), admin.close()]);
    channel.close();
    await chaincode.stop();
  };
  return {
    url,
    faults: await admin.listen(),
    channel: options.channel,
    chaincode: options.chaincode,
    genesis: channel.chain.blocks[0].hash.toString("hex"),
    signers: [...signers.values()].map(shown),
    chaincodeProcess: chaincode.process,
    tls: guard.client,
    stop,
  };
}

function clientsOf([first, second]) {
  return [
    first.client("admin", ADMIN),
    first.client("seller"),
    first.client("stranger"),
    second.client("admin2", ADMIN),
    second.client("buyer"),
  ];
}

function shown(client) {
  const { name, msp, attributes } = client;
  return { name, msp, account: accountOf(client), admin: attributes["sdpp.admin"] === "true" };
}

// The collections that the chaincode is deployed with, and whose clients each is for.
function deployed() {
  const file = path.join(__dirname, "../collections_config.json");
  return JSON.parse(fs.readFileSync(file, "utf8")).map(({ name, policy }) => ({
    name,
    members: [...policy.matchAll(/'([^'.]+)\.member'/g)].map((found) => found[1]),
  }));
}

// Who is let in: everybody, unless there is a token, a name with a password, or TLS with clients'
// certificates of the first organisation.
function guardOf({ bearer, basic, tls }, organisation) {
  if (!tls) {
    return { bearer, basic };
  }
  const pem = (keys) => keys.privateKey.export({ type: "pkcs8", format: "pem" });
  const [server, client] = [organisation.server(), organisation.client("tls-client")];
  const ca = organisation.certificate;
  return {
    bearer,
    basic,
    tls: {
      key: pem(server),
      cert: server.certificate,
      ca,
      requestCert: true,
      rejectUnauthorized: true,
    },
    client: { ca, cert: client.certificate, key: pem(client) },
  };
}

/** Opens everybody's account and gives each who is no admin some money, to begin with. */
async function seed(transactions, { channel, chaincode }, clients) {
  const call = (signer, func, ...args) =>
    transactions.submit({ channel, chaincode, signer, func, args, transient: {} });
  await Promise.all(clients.map(({ name }) => call(name, "OpenAccount")));
  const traders = clients.filter(({ attributes }) => attributes["sdpp.admin"] !== "true");
  await Promise.all(
    traders.map(async (trader) => {
      const { asset, amount } = SEED;
      const mint = ["Mint", `seed-${trader.name}`, accountOf(trader), asset, amount];
      const { tx } = await call("admin", ...mint);
      await call(trader.name, "Sweep", "seed", asset, JSON.stringify([tx]));
    }),
  );
}

module.exports = { DEFAULTS, SEED, startNetwork };
