// How this chaincode refuses: with a code and a sentence, because a gateway passes on nothing but
// an error's text. A caller tells refusals apart by what stands before the first colon.
"use strict";

/** The most characters of a caller's own words that a refusal repeats. */
const QUOTED_MAX = 80;

/** Every code that a refusal can have. */
const CODES = new Set([
  "BAD_ARGUMENT",
  "BAD_IDENTITY",
  "CONFLICT",
  "INSUFFICIENT_FUNDS",
  "IOU_CLOSED",
  "NOTHING_TO_NET",
  "NOT_ALLOWED",
  "NOT_DIRECT",
  "NOT_FOUND",
  "NO_SUCH_ACCOUNT",
  "OUT_OF_ORDER",
  "OVERFLOW",
  "TOO_LARGE",
  "TOO_MANY",
]);

/** Refuses what was asked: the transaction ends here and nothing of it is written. */
function fail(code, text) {
  if (!CODES.has(code)) {
    throw new Error(`${code} is no code of this chaincode`);
  }
  throw new Error(`${code}: ${text}`);
}

/** A caller's words, shortened and on one line, for the text of a refusal. */
function quoted(text) {
  const shown = text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}...` : text;
  return JSON.stringify(shown);
}

module.exports = { CODES, fail, quoted };
