// As much of ASN.1's DER as certificates and block hashes need.
"use strict";

const TAGS = { integer: 0x02, bits: 0x03, octets: 0x04, oid: 0x06, utf8: 0x0c, printable: 0x13 };

/** One value: a tag, the length, the contents one after the other. */
function tlv(tag, ...contents) {
  const body = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(body), body]);
}

function lengthOf(body) {
  if (body.length < 0x80) {
    return Buffer.from([body.length]);
  }
  const hex = body.length.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes]);
}

/** Values in a row. */
function sequence(...items) {
  return tlv(0x30, ...items);
}

/** Values without an order; of one only, as all sets here are. */
function set(item) {
  return tlv(0x31, item);
}

/** A number that is not negative. */
function integer(number) {
  const hex = BigInt(number).toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  // Else its first bit would make it negative.
  return tlv(TAGS.integer, bytes[0] & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

/** An object identifier, as numbers with dots between them. */
function oid(text) {
  const [first, second, ...rest] = text.split(".").map(Number);
  return tlv(TAGS.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(number) {
  const bytes = [number & 0x7f];
  for (let left = number >>> 7; left > 0; left >>>= 7) {
    bytes.unshift((left & 0x7f) | 0x80);
  }
  return bytes;
}

/** A string of bits, eight in each byte. */
function bits(bytes) {
  return tlv(TAGS.bits, Buffer.of(0), bytes);
}

/** A string of bytes. */
function octets(bytes) {
  return tlv(TAGS.octets, bytes);
}

/** A text. */
function utf8(text) {
  return tlv(TAGS.utf8, Buffer.from(text, "utf8"));
}

/** A text of plain letters, as countries are written. */
function printable(text) {
  return tlv(TAGS.printable, Buffer.from(text, "ascii"));
}

/** A yes. */
function yes() {
  return tlv(0x01, Buffer.of(0xff));
}

/** A time, in the form that certificates want it in until 2049. */
function time(date) {
  const text = date.toISOString().replace(/[-:T]/g, "").slice(2, 14);
  return tlv(0x17, Buffer.from(`${text}Z`, "ascii"));
}

/** A value under a context's own number. */
function tagged(number, ...contents) {
  return tlv(0xa0 | number, ...contents);
}

module.exports = {
  bits,
  integer,
  octets,
  oid,
  printable,
  sequence,
  set,
  tagged,
  time,
  tlv,
  utf8,
  yes,
};
