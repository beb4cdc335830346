// The gateway's identities: clients that the first organisation's CA registers and enrols. Only the
// enrolled can sign. Revoking is not served: on the real gateway it changes nothing that a channel
// accepts.
"use strict";

const { randomBytes } = require("node:crypto");
const { Refusal } = require("./transactions");

const NAME = /^[!-~]{1,64}$/;
const IDENTITIES_MAX = 1_000;
const FIELDS = ["affiliation", "attributes", "maxEnrollments", "name", "secret", "type"];

/** The clients that can be signed for, and those that are only registered. */
class Identities {
  constructor(organisation, caName) {
    this.organisation = organisation;
    this.caName = caName;
    this.registered = new Map();
    this.signers = new Map();
  }

  /** Adds a signer that comes with the network, as its cryptographic material would. */
  add(client) {
    this.signers.set(client.name, client);
  }

  /** Registers a client: its secret, to enrol with. */
  register(body) {
    knowsFields(body);
    const { name, type = "client", attributes = {}, maxEnrollments = -1 } = body;
    if (!name) {
      throw new Refusal(400, 'missing required parameter "name"');
    }
    if (this.registered.has(name) || this.signers.has(name)) {
      const code = `Error Code: 74 - Identity '${name}' is already registered\n`;
      const failed = "failed to register user: failed to register user";
      throw new Refusal(500, `${failed}: Response from server: ${code}`);
    }
    if (!NAME.test(name) || this.registered.size >= IDENTITIES_MAX) {
      throw new Refusal(500, "failed to register user: the double takes no such name, or no more");
    }
    const secret = body.secret || randomBytes(9).toString("base64url");
    const identity = { name, secret, type, attributes: texts(attributes), maxEnrollments };
    this.registered.set(name, identity);
    return { name, secret };
  }

  /** Gives a registered client its certificate, with the attributes that it asks for. */
  enroll(name, { secret, attributes = {} }) {
    if (!secret) {
      throw new Refusal(400, 'missing required parameter "secret"');
    }
    const identity = this.registered.get(name);
    if (identity?.secret !== secret) {
      const code = "Error Code: 20 - Authentication failure\n";
      throw new Refusal(500, `enroll failed: enroll failed: Response from server: ${code}`);
    }
    this.certify(identity, attributes);
    return { name: "", success: true };
  }

  /** Gives an enrolled client a new certificate. */
  reenroll(name, { attributes = {} }) {
    this.certify(this.find(name), attributes);
    return { name, success: true };
  }

  /** Changes what the next certificate of a client says. */
  modify(name, { attributes = {} }) {
    Object.assign(this.find(name).attributes, texts(attributes));
    return { name };
  }

  /** All that are registered. */
  list() {
    return [...this.registered.values()].map((identity) => this.shown(identity));
  }

  /** One, with its certificate once it is enrolled. */
  get(name) {
    const identity = this.find(name);
    const signer = this.signers.get(name);
    const base64 = (pem) => Buffer.from(pem, "utf8").toString("base64");
    return {
      ...this.shown(identity),
      organization: this.organisation.domain.split(".")[0],
      mspId: this.organisation.msp,
      enrollmentCert: signer && base64(signer.certificate),
      caCert: signer && base64(this.organisation.certificate),
    };
  }

  find(name) {
    const identity = this.registered.get(name);
    if (!identity) {
      const code = "Error Code: 63 - Failed to get User: sql: no rows in result set\n";
      throw new Refusal(500, `failed to get identity: Response from server: ${code}`);
    }
    return identity;
  }

  shown({ name, type, attributes, maxEnrollments }) {
    const own = { "hf.Affiliation": "", "hf.EnrollmentID": name, "hf.Type": type };
    const all = { ...own, ...attributes };
    return { name, maxEnrollments, type, affiliation: "", attributes: all, caname: this.caName };
  }

  certify({ name, attributes }, asked) {
    const isAsked = ([attribute]) => asked[attribute] === true;
    const given = Object.fromEntries(Object.entries(attributes).filter(isAsked));
    this.signers.set(name, this.organisation.client(name, given));
  }
}

function knowsFields(body) {
  const other = Object.keys(body).find((field) => !FIELDS.includes(field));
  if (other) {
    throw new Refusal(400, `failed to decode JSON payload: json: unknown field "${other}"`);
  }
}

function texts(attributes) {
  if (Object.values(attributes).some((value) => typeof value !== "string")) {
    throw new Refusal(400, "failed to decode JSON payload: attributes must be strings");
  }
  return { ...attributes };
}

module.exports = { Identities };
