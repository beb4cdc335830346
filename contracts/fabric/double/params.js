// What a client asked for, read from body, query and headers as the gateway reads them: a field of
// the body's `headers` beats `fly-x` in the query, which beats the header `x-firefly-x`. Where the
// gateway's handler would panic, so does this: the client gets a closed socket.
"use strict";

const { randomUUID } = require("node:crypto");
const { parseBool } = require("./go");
const { Hangup, Refusal } = require("./transactions");

/** The largest body. */
const BODY_BYTES_MAX = 1_048_576;

/** A request's body as JSON; an object, or there is no answer. */
async function bodyOf(request) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new Refusal(400, "Message exceeds maximum allowable size");
    }
    chunks.push(chunk);
  }
  let body;
  try {
    body = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    // The gateway's own slip of the pen.
    throw new Refusal(400, "Unable to parse as JSON: %!s(MISSING)");
  }
  return panicUnless(typeof body === "object" && body !== null && !Array.isArray(body), body);
}

/** What a submit asks for. */
function submitOf(body, url, headers) {
  const flag = (name, otherwise) => {
    const word = parameter(name, body, url, headers);
    const value = word === "" ? otherwise : parseBool(word);
    return value ?? refuse(`strconv.ParseBool: parsing ${JSON.stringify(word)}: invalid syntax`);
  };
  const message = addressed(body, url, headers);
  message.func = panicUnless(typeof body.func === "string", body.func);
  message.func || refuse("Must specify target chaincode function");
  message.args = argsOf(body);
  message.transient = transientOf(body);
  message.id = parameter("id", body, url, headers) || randomUUID();
  message.isNamed = parameter("id", body, url, headers) !== "";
  return { message, sync: flag("sync", true), ack: !flag("noack", false) };
}

/** What a question asks for. */
function queryOf(body, url, headers) {
  const message = addressed(body, url, headers);
  if (typeof body.func !== "string" || body.func === "") {
    refuse("Must specify target chaincode function");
  }
  return { ...message, func: body.func, args: argsOf(body), transient: {} };
}

/** The channel and signer of a look-up, which has no body. */
function lookupOf(url, headers) {
  const channel = parameter("channel", {}, url, headers) || refuse("Must specify the channel");
  const signer = parameter("signer", {}, url, headers) || refuse("Must specify the signer");
  return { channel, signer };
}

function addressed(body, url, headers) {
  const channel = parameter("channel", body, url, headers) || refuse("Must specify the channel");
  const signer = parameter("signer", body, url, headers) || refuse("Must specify the signer");
  const chaincode =
    parameter("chaincode", body, url, headers) || refuse("Must specify the chaincode name");
  return { channel, signer, chaincode };
}

function parameter(name, body, url, headers) {
  const own = body.headers ?? {};
  panicUnless(typeof own === "object" && !Array.isArray(own), own);
  const inBody = own[name] ?? "";
  panicUnless(typeof inBody === "string", inBody);
  const isNamed = ([key]) => key.toLowerCase() === `fly-${name}`;
  const inQuery = [...url.searchParams].find(isNamed)?.[1] ?? "";
  return inBody || inQuery || headers[`x-firefly-${name}`] || "";
}

function argsOf({ args, headers }) {
  if (args === undefined || args === null) {
    refuse("must specify args");
  }
  const list = headers?.payloadSchema ? byNames(args, headers.payloadSchema) : args;
  panicUnless(Array.isArray(list) && list.every((arg) => typeof arg === "string"), list);
  return list;
}

// Named arguments, put in the order of a schema's items; what is no text goes as JSON.
function byNames(args, { prefixItems }) {
  panicUnless(Array.isArray(prefixItems) && typeof args === "object", args);
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  return prefixItems.map(({ name }) => text(args[name]));
}

function transientOf({ transientMap }) {
  const map = transientMap ?? {};
  panicUnless(typeof map === "object" && !Array.isArray(map), map);
  panicUnless(Object.values(map).every((value) => typeof value === "string"), map);
  return map;
}

function panicUnless(isExpected, value) {
  if (!isExpected) {
    throw new Hangup();
  }
  return value;
}

function refuse(text) {
  throw new Refusal(400, text);
}

module.exports = { bodyOf, lookupOf, queryOf, submitOf };
