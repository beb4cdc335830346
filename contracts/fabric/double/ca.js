// An organisation's certificate authority and its clients: real X.509 certificates, since the shim
// parses them, with attributes where Fabric's own CA puts them.
"use strict";

const { createHash, generateKeyPairSync, randomBytes, sign } = require("node:crypto");
const der = require("./der");

const OIDS = {
  C: "2.5.4.6",
  ST: "2.5.4.8",
  L: "2.5.4.7",
  O: "2.5.4.10",
  OU: "2.5.4.11",
  CN: "2.5.4.3",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  keyUsage: "2.5.29.15",
  basicConstraints: "2.5.29.19",
  subjectAltName: "2.5.29.17",
  // Where Fabric's CA keeps a client's attributes, as JSON.
  attributes: "1.2.3.4.5.6.7.8.1",
};
const DAY_MS = 86_400_000;
const YEARS = 10;

/** An organisation: its MSP id, and the CA that its clients' certificates come from. */
class Organisation {
  constructor(msp, domain) {
    this.msp = msp;
    this.domain = domain;
    this.keys = newKeys();
    const place = [["C", "US"], ["ST", "California"], ["L", "San Francisco"]];
    this.name = [...place, ["O", domain], ["CN", `ca.${domain}`]];
    const extensions = [
      extension(OIDS.basicConstraints, der.sequence(der.yes()), true),
      extension(OIDS.keyUsage, keyUsage(0x06), true),
    ];
    this.certificate = this.certify(this.name, this.keys.publicKey, extensions);
  }

  /** A client with a key and certificate of its own; the attributes are in the certificate. */
  client(name, attributes = {}) {
    const keys = newKeys();
    const attrs = Buffer.from(JSON.stringify({ attrs: attributes }), "utf8");
    const certificate = this.certify(
      [["OU", "client"], ["CN", name]],
      keys.publicKey,
      [extension(OIDS.keyUsage, keyUsage(0x80), true), extension(OIDS.attributes, attrs)],
    );
    return { name, msp: this.msp, organisation: this, attributes, certificate, ...keys };
  }

  /** A key and certificate for a server on this machine's own address. */
  server() {
    const keys = newKeys();
    const loopback = der.sequence(der.tlv(0x87, Buffer.of(127, 0, 0, 1)));
    const extensions = [extension(OIDS.subjectAltName, loopback)];
    const certificate = this.certify([["CN", "127.0.0.1"]], keys.publicKey, extensions);
    return { certificate, ...keys };
  }

  certify(subject, publicKey, extensions) {
    const algorithm = der.sequence(der.oid(OIDS.ecdsaWithSha256));
    const now = Date.now();
    const until = now + YEARS * 365 * DAY_MS;
    const body = der.sequence(
      der.tagged(0, der.integer(2)),
      der.integer(BigInt(`0x${randomBytes(16).toString("hex")}`)),
      algorithm,
      distinguishedName(this.name),
      der.sequence(der.time(new Date(now - DAY_MS)), der.time(new Date(until))),
      distinguishedName(subject),
      publicKey.export({ type: "spki", format: "der" }),
      der.tagged(3, der.sequence(...extensions)),
    );
    const signature = sign("sha256", body, this.keys.privateKey);
    return pem(der.sequence(body, algorithm, der.bits(signature)));
  }
}

/** The account that the chaincode gives a client, by what stands in its certificate. */
function accountOf(client) {
  const issuer = client.organisation.name;
  const id = `x509::${slashed([["OU", "client"], ["CN", client.name]])}::${slashed(issuer)}`;
  const hash = createHash("sha256").update(client.msp).update("\0").update(id);
  return `${client.msp}:${hash.digest("hex")}`;
}

function slashed(name) {
  return name.map(([type, value]) => `/${type}=${value}`).join("");
}

function newKeys() {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function distinguishedName(parts) {
  const text = (type) => (type === "C" ? der.printable : der.utf8);
  const part = ([type, value]) => der.set(der.sequence(der.oid(OIDS[type]), text(type)(value)));
  return der.sequence(...parts.map(part));
}

function extension(id, value, isCritical = false) {
  return der.sequence(der.oid(id), ...(isCritical ? [der.yes()] : []), der.octets(value));
}

function keyUsage(usage) {
  return der.bits(Buffer.of(usage));
}

function pem(bytes) {
  const lines = bytes.toString("base64").match(/.{1,64}/g).join("\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

module.exports = { Organisation, accountOf };
