// What happened, where nobody can rewrite it: single digests, roots over many of them, and records
// with their bodies in the order of their chain.
//
// Everything stands under its writer's own account: nobody can take another's reference, and what a
// reader asks for by account and reference is what that account put there.
"use strict";

const { canonical, parsed, sha256 } = require("./canonical");
const check = require("./check");
const { fail, quoted } = require("./fail");
const { Rows } = require("./rows");

/** The private data collection that the bodies are in which are nobody else's business. */
const COLLECTION = "bodies";
/** The link before a chain's first. */
const FIRST = `0x${"0".repeat(64)}`;
const SALT = /^[0-9a-f]{64}$/;

/** Puts one digest under a reference. */
function anchor(ctx, reference, digest) {
  const terms = { digest: check.digest(digest, "digest") };
  return new Rows(ctx).once("anchor", check.name(reference, "reference"), terms);
}

/** Puts the root over `count` digests; the root is its own reference. */
function anchorRoot(ctx, root, count) {
  const terms = { count: check.count(count, "count") };
  return new Rows(ctx).once("root", check.digest(root, "root"), terms);
}

/** Puts a record that everybody on the channel may read. */
async function putRecord(ctx, reference, chain, seq, kind, text) {
  const body = parsed(text, "body", check.LIMITS.bodyBytes);
  // Told apart by a word of its own, so that no public body has the digest of a private one.
  const digest = sha256("sdpp/public\0", canonical(body));
  return append(new Rows(ctx), reference, { chain, seq, kind, digest, body });
}

/** Puts a record whose body and salt only the collection's members get; all see its digest. */
async function putPrivateRecord(ctx, reference, chain, seq, kind) {
  const body = parsed(transient(ctx, "body"), "body", check.LIMITS.bodyBytes);
  const salt = transient(ctx, "salt");
  if (!SALT.test(salt)) {
    // Not repeated: a salt in the text of an error would be public.
    fail("BAD_ARGUMENT", "salt must be 32 random bytes as 64 lower-case hex digits");
  }
  const rows = new Rows(ctx);
  const text = canonical({ body, salt });
  const row = await append(rows, reference, { chain, seq, kind, digest: saltedDigest(body, salt) });
  if (row.tx === rows.tx) {
    await ctx.stub.putPrivateData(COLLECTION, bodyKey(ctx, row), Buffer.from(text, "utf8"));
  }
  return row;
}

/** A private record's body and salt, and whether they are those of the public digest. */
async function getPrivateRecord(ctx, owner, reference) {
  const row = await new Rows(ctx).need("record", ...place(owner, reference));
  const bytes = await ctx.stub.getPrivateData(COLLECTION, bodyKey(ctx, row));
  if (!bytes || bytes.length === 0) {
    fail("NOT_FOUND", `private body of ${row.reference}`);
  }
  const { body, salt } = JSON.parse(bytes.toString("utf8"));
  return { body, digest: row.digest, matches: saltedDigest(body, salt) === row.digest, salt };
}

/** How far a chain is: the number and link of its last record, zero when it has none. */
async function getHead(ctx, owner, chain) {
  return head(new Rows(ctx), check.account(owner, "owner"), check.name(chain, "chain"));
}

/** A chain's records from `from` on: their references, digests and links. */
async function getChain(ctx, owner, chain, from) {
  const rows = new Rows(ctx);
  const key = [check.account(owner, "owner"), check.name(chain, "chain")];
  const first = check.count(from, "from");
  const { seq } = await head(rows, ...key);
  const links = [];
  for (let at = first; at <= seq && links.length < check.LIMITS.rowsInList; at += 1) {
    links.push(await rows.need("link", ...key, String(at)));
  }
  return { links, more: first + links.length <= seq };
}

// Adds to the end of the caller's chain. Its head is read and written, so of two that come at once
// one is valid: a chain's records are sent in order, those of different chains side by side.
async function append(rows, reference, record) {
  const chain = check.name(record.chain, "chain");
  const terms = {
    ...record,
    chain,
    seq: check.count(record.seq, "seq"),
    kind: check.kind(record.kind),
  };
  return rows.once("record", check.name(reference, "reference"), terms, async () => {
    const owner = rows.caller.account;
    const last = await head(rows, owner, chain);
    if (terms.seq !== last.seq + 1) {
      fail("OUT_OF_ORDER", `chain ${quoted(chain)} goes on with ${last.seq + 1}, got ${terms.seq}`);
    }
    const { seq, kind, digest } = terms;
    const prev = last.link;
    const link = sha256(canonical({ chain, digest, kind, owner, prev, reference, seq }));
    await rows.put("head", [owner, chain], { chain, link, owner, seq });
    await rows.put("link", [owner, chain, String(seq)], { digest, kind, link, reference, seq });
    return { prev, link };
  });
}

async function head(rows, owner, chain) {
  return (await rows.get("head", owner, chain)) ?? { chain, link: FIRST, owner, seq: 0 };
}

// Fixed lengths before the body, so no other salt and body have the same bytes.
function saltedDigest(body, salt) {
  return sha256("sdpp/private\0", Buffer.from(salt, "hex"), canonical(body));
}

function transient(ctx, field) {
  const bytes = ctx.stub.getTransient()?.get(field);
  return bytes ? bytes.toString("utf8") : fail("BAD_ARGUMENT", `transientMap has no ${field}`);
}

function bodyKey(ctx, row) {
  return ctx.stub.createCompositeKey("body", [row.owner, row.reference]);
}

/** Where a row is: whose it is, and its reference. */
function place(owner, reference) {
  return [check.account(owner, "owner"), check.name(reference, "reference")];
}

module.exports = {
  COLLECTION,
  anchor,
  anchorRoot,
  getChain,
  getHead,
  getPrivateRecord,
  place,
  putPrivateRecord,
  putRecord,
};
