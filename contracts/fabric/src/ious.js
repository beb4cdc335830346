// Promises to pay, as rows of their own: a debtor writes one to its payee, the holder passes it on,
// the debtor redeems it in money of the consortium, or the holder says that it was paid elsewhere.
// Two that owe each other net what they owe.
//
// An IOU is a row under its debtor and the debtor's reference. Nothing that others write is read to
// make one, so any number can be made in one block.
"use strict";

const check = require("./check");
const { fail } = require("./fail");
const { credit, needsAccount, spend } = require("./money");
const { Rows } = require("./rows");

/** Promises somebody an amount. */
async function owe(ctx, reference, to, unit, amount) {
  const rows = new Rows(ctx);
  const owed = check.amount(amount).toString();
  const terms = { to: check.account(to, "to"), unit: check.unit(unit), amount: owed };
  if (terms.to === rows.caller.account) {
    fail("BAD_ARGUMENT", "nobody owes itself");
  }
  return rows.once("iou", check.name(reference, "reference"), terms, async () => {
    await needsAccount(rows, rows.caller.account);
    await needsAccount(rows, terms.to);
    const debt = { debtor: rows.caller.account, reference, unit: terms.unit };
    await keep(rows, { ...debt, holder: terms.to, open: terms.amount });
    return {};
  });
}

/** Holder: passes an IOU, with all that is open of it, on to somebody else. */
async function passIou(ctx, reference, debtor, iou, to) {
  const rows = new Rows(ctx);
  const terms = { ...named(debtor, iou), to: check.account(to, "to") };
  return rows.once("pass", check.name(reference, "reference"), terms, async () => {
    await needsAccount(rows, terms.to);
    const debt = await held(rows, terms.debtor, terms.iou);
    if (terms.to === debt.debtor || terms.to === debt.holder) {
      fail("BAD_ARGUMENT", "an IOU is passed to neither its debtor nor its holder");
    }
    await keep(rows, { ...debt, holder: terms.to }, debt.holder);
    return { amount: debt.open, unit: debt.unit };
  });
}

/** Debtor: pays an IOU off out of its balance of the asset that the IOU is counted in. */
async function redeemIou(ctx, reference, iou) {
  const rows = new Rows(ctx);
  const terms = { iou: check.name(iou, "iou") };
  return rows.once("redemption", check.name(reference, "reference"), terms, async () => {
    const debt = await open(rows, rows.caller.account, terms.iou);
    const asset = check.asset(debt.unit);
    await spend(rows, asset, BigInt(debt.open));
    await credit(rows, { to: debt.holder, asset, amount: debt.open });
    await keep(rows, { ...debt, open: "0" });
    return { amount: debt.open, to: debt.holder, unit: debt.unit };
  });
}

/** Holder: says that nothing is owed any more, because it was paid elsewhere or is forgiven. */
async function dischargeIou(ctx, reference, debtor, iou) {
  const rows = new Rows(ctx);
  const terms = named(debtor, iou);
  return rows.once("discharge", check.name(reference, "reference"), terms, async () => {
    const debt = await held(rows, terms.debtor, terms.iou);
    await keep(rows, { ...debt, open: "0" });
    return { amount: debt.open, unit: debt.unit };
  });
}

/** Sets off what the caller owes `other` against what `other` owes the caller, in the order of the
 * lists and down to zero on one side. Either loses as much debt as claim, so either may do it. */
async function netIous(ctx, reference, other, unit, mine, theirs) {
  const rows = new Rows(ctx);
  const most = check.LIMITS.iousInNetting;
  const terms = {
    other: check.account(other, "other"),
    unit: check.unit(unit),
    mine: check.names(mine, "mine", most),
    theirs: check.names(theirs, "theirs", most),
  };
  return rows.once("netting", check.name(reference, "reference"), terms, async () => {
    const me = rows.caller.account;
    const owing = await between(rows, me, terms.other, terms.unit, terms.mine);
    const owed = await between(rows, terms.other, me, terms.unit, terms.theirs);
    const [left, right] = [sum(owing), sum(owed)];
    const amount = left < right ? left : right;
    await reduce(rows, owing, amount);
    await reduce(rows, owed, amount);
    return { amount: amount.toString() };
  });
}

/** How an IOU stands: who holds it and what is open of it. */
async function getIou(ctx, debtor, iou) {
  const { debtor: owner, iou: reference } = named(debtor, iou);
  return new Rows(ctx).need("debt", owner, reference);
}

/** What an account holds and owes in a unit, and the first rows of either. Anybody can write many
 * small ones: what is too much to add up is left out, and said to be there as `more`. */
async function getIous(ctx, account, unit) {
  const rows = new Rows(ctx);
  const key = [check.account(account, "account"), check.unit(unit)];
  const [held, owed] = [await side(rows, "held", key), await side(rows, "owed", key)];
  return { account: key[0], unit: key[1], held, owed };
}

async function side(rows, index, key) {
  const { rows: debts, more } = await rows.list(index, key, check.LIMITS.rowsInSum);
  const first = debts.slice(0, check.LIMITS.rowsInList);
  return { count: debts.length, ious: first, more, total: sum(debts).toString() };
}

// Of those that a netting names, each must be open, in the unit, and between these two.
async function between(rows, debtor, holder, unit, references) {
  const debts = [];
  for (const reference of references) {
    const debt = await open(rows, debtor, reference);
    if (debt.holder !== holder || debt.unit !== unit) {
      fail("NOTHING_TO_NET", `${debtor} owes ${holder} no ${unit} by ${reference}`);
    }
    debts.push(debt);
  }
  return debts;
}

async function reduce(rows, debts, amount) {
  let rest = amount;
  for (const debt of debts) {
    const owed = BigInt(debt.open);
    const less = owed < rest ? owed : rest;
    rest -= less;
    if (less > 0n) {
      await keep(rows, { ...debt, open: (owed - less).toString() });
    }
  }
}

async function held(rows, debtor, reference) {
  const debt = await open(rows, debtor, reference);
  if (debt.holder !== rows.caller.account) {
    fail("NOT_ALLOWED", `the holder of ${reference} is ${debt.holder}`);
  }
  return debt;
}

async function open(rows, debtor, reference) {
  const debt = await rows.need("debt", debtor, reference);
  if (debt.open === "0") {
    fail("IOU_CLOSED", `nothing is open of ${reference}`);
  }
  return debt;
}

// Writes how a debt stands now, and the two places where it is found again: by who owes and by who
// holds it, only while something is open of it. `before` is the holder that no longer is.
async function keep(rows, debt, before) {
  const { debtor, holder, open: rest, reference, unit } = debt;
  const now = { debtor, holder, open: rest, reference, tx: rows.tx, unit };
  await rows.put("debt", [debtor, reference], now);
  const owed = [debtor, unit, reference];
  const held = (by) => [by, unit, debtor, reference];
  if (before) {
    await rows.remove("held", ...held(before));
  }
  if (rest === "0") {
    await rows.remove("owed", ...owed);
    await rows.remove("held", ...held(holder));
    return;
  }
  await rows.put("owed", owed, now);
  await rows.put("held", held(holder), now);
}

function sum(debts) {
  return debts.reduce((total, debt) => total + BigInt(debt.open), 0n);
}

function named(debtor, iou) {
  return { debtor: check.account(debtor, "debtor"), iou: check.name(iou, "iou") };
}

module.exports = { dischargeIou, getIou, getIous, netIous, owe, passIou, redeemIou };
