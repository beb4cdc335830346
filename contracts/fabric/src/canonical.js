// JSON in one form only, so that the same content is the same bytes at each peer that endorses it
// and at each retry: keys sorted, no blanks, numbers that every reader reads alike.
"use strict";

const { createHash } = require("node:crypto");
const { fail } = require("./fail");

/** The deepest nesting of a body. */
const DEPTH_MAX = 16;

/** The canonical text of a value made of JSON's types. */
function canonical(value, depth = 0) {
  if (depth > DEPTH_MAX) {
    fail("TOO_LARGE", `JSON is nested deeper than ${DEPTH_MAX}`);
  }
  if (Array.isArray(value)) {
    return `[${value.map((item) => canonical(item, depth + 1)).join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    return canonicalObject(value, depth);
  }
  if (typeof value === "number" && !isExact(value)) {
    fail("BAD_ARGUMENT", "numbers in JSON must be integers below 2^53; amounts are strings");
  }
  return JSON.stringify(value);
}

function canonicalObject(object, depth) {
  // By code unit, as sort() does by default: the order must not depend on a locale.
  const keys = Object.keys(object).sort();
  const fields = keys.map((key) => `${JSON.stringify(key)}:${canonical(object[key], depth + 1)}`);
  return `{${fields.join(",")}}`;
}

// Fractions are printed differently by different languages, and -0 is 0 when it is read again.
function isExact(number) {
  return Number.isSafeInteger(number) && !Object.is(number, -0);
}

/** What a text of JSON says; refuses what is none, or is longer than `bytesMax`. */
function parsed(text, what, bytesMax) {
  const bytes = Buffer.byteLength(text, "utf8");
  if (bytes > bytesMax) {
    fail("TOO_LARGE", `${what} has ${bytes} bytes, at most ${bytesMax} are taken`);
  }
  try {
    return JSON.parse(text);
  } catch {
    // Not repeated: it may be private.
    return fail("BAD_ARGUMENT", `${what} is not JSON`);
  }
}

/** SHA-256 of the parts one after the other, as `0x` and lower-case hex. */
function sha256(...parts) {
  const hash = createHash("sha256");
  parts.forEach((part) => hash.update(part));
  return `0x${hash.digest("hex")}`;
}

module.exports = { canonical, parsed, sha256 };
