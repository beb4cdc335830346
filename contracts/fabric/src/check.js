// What arguments may look like. Each check gives back what it was given, in the form in which it is
// used from then on, or refuses.
"use strict";

const { parsed } = require("./canonical");
const { fail, quoted } = require("./fail");

/** What a call may carry at most; the README has the same table. */
const LIMITS = {
  nameBytes: 128,
  bodyBytes: 16_384,
  amountMax: 2n ** 128n - 1n,
  countMax: 2 ** 32 - 1,
  creditsInSweep: 100,
  iousInNetting: 50,
  rowsInList: 200,
  rowsInSum: 10_000,
};

const VISIBLE = /^[!-~]+$/;
const DIGEST = /^0x[0-9a-f]{64}$/;
const WHOLE = /^(0|[1-9][0-9]*)$/;
const MSP = /^[A-Za-z0-9.-]{1,40}$/;
const ACCOUNT = /^[A-Za-z0-9.-]{1,40}:[0-9a-f]{64}$/;
const ASSET = /^[A-Za-z0-9.-]{1,40}\/[A-Za-z0-9.-]{1,24}$/;
const UNIT = /^[A-Za-z0-9.\/-]{1,65}$/;
const KIND = /^[a-z][a-z0-9_-]{0,31}$/;
const TX = /^[0-9a-f]{64}$/;

/** A reference or another name that the caller gives: visible ASCII. */
function name(text, what) {
  if (text.length > LIMITS.nameBytes || !VISIBLE.test(text)) {
    const rule = `must be 1 to ${LIMITS.nameBytes} visible ASCII characters`;
    fail("BAD_ARGUMENT", `${what} ${rule}, got ${quoted(text)}`);
  }
  return text;
}

/** 32 bytes as `0x` and lower-case hex. */
function digest(text, what) {
  return matching(DIGEST, text, what, "0x and 64 lower-case hex digits");
}

/** What is paid or owed: a whole number of smallest units, above zero. */
function amount(text) {
  const isAmount = WHOLE.test(text) && text.length <= 39 && text !== "0";
  if (!isAmount || BigInt(text) > LIMITS.amountMax) {
    const rule = "a whole number from 1 to 2^128-1 in decimal digits";
    fail("BAD_ARGUMENT", `amount must be ${rule}, got ${quoted(text)}`);
  }
  return BigInt(text);
}

/** A count or a place in a row: a whole number from 1 to 2^32-1. */
function count(text, what) {
  const isCount = WHOLE.test(text) && text.length <= 10 && text !== "0";
  if (!isCount || Number(text) > LIMITS.countMax) {
    fail("BAD_ARGUMENT", `${what} must be a whole number from 1 to 2^32-1, got ${quoted(text)}`);
  }
  return Number(text);
}

/** An account's name: its organisation's MSP id and the digest of its identity. */
function account(text, what) {
  return matching(ACCOUNT, text, what, "an MSP id, a colon and 64 lower-case hex digits");
}

/** Money that an organisation answers for: `Org1MSP/USD`. */
function asset(text) {
  return matching(ASSET, text, "asset", "an MSP id, a slash and a code");
}

/** What an IOU is counted in: an asset, or any short code. */
function unit(text) {
  return matching(UNIT, text, "unit", "an asset or a code of letters, digits, dots and dashes");
}

/** What sort of record it is, a short lower-case word. */
function kind(text) {
  return matching(KIND, text, "kind", "a lower-case word of at most 32 characters");
}

/** An MSP id. */
function msp(text) {
  if (!MSP.test(text)) {
    const rule = "1 to 40 letters, digits, dots and dashes";
    fail("BAD_IDENTITY", `MSP ids are ${rule}, got ${quoted(text)}`);
  }
  return text;
}

/** A list of different transaction ids, as JSON. */
function txs(text, what, most) {
  return list(text, what, most).map((tx) => matching(TX, tx, what, "64 lower-case hex digits"));
}

/** A list of different references, as JSON. */
function names(text, what, most) {
  return list(text, what, most).map((item) => name(item, what));
}

function list(text, what, most) {
  // Each item with its quotes and comma.
  const items = parsed(text, what, most * (LIMITS.nameBytes + 3) + 2);
  if (!Array.isArray(items) || items.some((item) => typeof item !== "string")) {
    fail("BAD_ARGUMENT", `${what} must be a JSON array of strings`);
  }
  if (items.length === 0 || items.length > most) {
    fail("TOO_MANY", `${what} must be 1 to ${most}, got ${items.length}`);
  }
  if (new Set(items).size !== items.length) {
    fail("BAD_ARGUMENT", `${what} must be different from each other`);
  }
  return items;
}

function matching(pattern, text, what, rule) {
  if (!pattern.test(text)) {
    fail("BAD_ARGUMENT", `${what} must be ${rule}, got ${quoted(text)}`);
  }
  return text;
}

module.exports = {
  LIMITS,
  account,
  amount,
  asset,
  count,
  digest,
  kind,
  msp,
  name,
  names,
  txs,
  unit,
};
