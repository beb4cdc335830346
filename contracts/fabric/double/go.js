// JSON as Go's encoder writes it, which the gateway is written in: two blanks for each level where
// it indents, `<`, `>` and `&` escaped, and whole numbers of any size.
"use strict";

/** A value as JSON; `BigInt` is a number, `undefined` fields are left out. */
function json(value, { indent = false } = {}) {
  return write(value, indent ? "\n" : "");
}

function write(value, line) {
  if (typeof value === "bigint") {
    return value.toString();
  }
  if (Array.isArray(value)) {
    const items = value.map((item) => write(item, deeper(line)));
    return wrapped("[", items, "]", line);
  }
  if (typeof value === "object" && value !== null) {
    const colon = line ? ": " : ":";
    const fields = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => `${text(name)}${colon}${write(field, deeper(line))}`);
    return wrapped("{", fields, "}", line);
  }
  return typeof value === "string" ? text(value) : JSON.stringify(value);
}

function deeper(line) {
  return line ? `${line}  ` : "";
}

function wrapped(open, items, close, line) {
  if (items.length === 0) {
    return open + close;
  }
  return `${open}${deeper(line)}${items.join(`,${deeper(line)}`)}${line}${close}`;
}

function text(string) {
  const escape = (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(string).replace(/[<>&\u2028\u2029]/g, escape);
}

/** Reads a boolean as Go's strconv does, or `undefined`. */
function parseBool(word) {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(word)) {
    return true;
  }
  return ["0", "f", "F", "FALSE", "false", "False"].includes(word) ? false : undefined;
}

module.exports = { json, parseBool };
