// Accounts and the money in them.
//
// A balance is written by its owner's own transactions alone. What comes in is a row of its own for
// each payment, which the owner sweeps into the balance by naming it. So any number can pay one
// payee in one block, nobody can make a payee's transactions invalid by paying it, and only the
// spends of one payer wait for each other.
"use strict";

const { callerOf, needsAdminOf } = require("./caller");
const check = require("./check");
const { fail } = require("./fail");
const { Rows } = require("./rows");

/** Binds the caller's account to its identity, once; only who has done that can be paid. */
async function openAccount(ctx) {
  const rows = new Rows(ctx);
  const { account, msp, id } = rows.caller;
  const stored = await rows.get("account", account);
  if (stored) {
    return stored;
  }
  const row = { type: "account", account, msp, id, ...rows.origin() };
  const written = await rows.put("account", [account], row);
  rows.tell(written);
  return written;
}

/** Makes money of the caller's own organisation, for somebody. */
async function mint(ctx, reference, to, asset, amount) {
  const rows = new Rows(ctx);
  const terms = termsOf(to, asset, amount);
  return rows.once("mint", check.name(reference, "reference"), terms, async () => {
    // Only here: who is an admin no more still learns what became of what it minted.
    needsAdminOf(rows.caller, terms.asset);
    await needsAccount(rows, terms.to);
    await credit(rows, terms);
    return {};
  });
}

/** Pays somebody out of the caller's balance. */
async function pay(ctx, reference, to, asset, amount) {
  const rows = new Rows(ctx);
  const terms = termsOf(to, asset, amount);
  if (terms.to === rows.caller.account) {
    fail("BAD_ARGUMENT", "nobody pays itself");
  }
  return rows.once("payment", check.name(reference, "reference"), terms, async () => {
    await needsAccount(rows, terms.to);
    await spend(rows, terms.asset, BigInt(terms.amount));
    await credit(rows, terms);
    return {};
  });
}

/** Moves credits, named by the transactions that paid them, into the caller's balance. */
async function sweep(ctx, reference, asset, credits) {
  const rows = new Rows(ctx);
  const txs = check.txs(credits, "credits", check.LIMITS.creditsInSweep);
  const terms = { asset: check.asset(asset), credits: txs };
  return rows.once("sweep", check.name(reference, "reference"), terms, async () => {
    const owner = rows.caller.account;
    let sum = 0n;
    for (const tx of txs) {
      sum += BigInt((await rows.need("credit", owner, terms.asset, tx)).amount);
      await rows.remove("credit", owner, terms.asset, tx);
    }
    await setBalance(rows, terms.asset, (await balanceOf(rows, owner, terms.asset)) + sum);
    return { amount: sum.toString() };
  });
}

/** What an account has: its balance, the credits that wait for a sweep, and both together. Anybody
 * can pay many small ones: what is too much to add up is left out, and told as `more`. */
async function getBalance(ctx, account, asset) {
  const rows = new Rows(ctx);
  const key = [check.account(account, "account"), check.asset(asset)];
  const balance = await balanceOf(rows, ...key);
  const { rows: credits, more } = await rows.list("credit", key, check.LIMITS.rowsInSum);
  const waiting = credits.reduce((sum, row) => sum + BigInt(row.amount), 0n);
  return {
    account: key[0],
    asset: key[1],
    balance: balance.toString(),
    credits: credits.length,
    more,
    waiting: waiting.toString(),
    total: (balance + waiting).toString(),
  };
}

/** The first credits that wait for a sweep, and whether there are more. */
async function listCredits(ctx, account, asset) {
  const key = [check.account(account, "account"), check.asset(asset)];
  const { rows, more } = await new Rows(ctx).list("credit", key, check.LIMITS.rowsInList);
  return { credits: rows, more };
}

/** Who the caller is here. */
function whoAmI(ctx) {
  return callerOf(ctx);
}

/** Takes from the caller's balance of an asset; refuses what is not there. */
async function spend(rows, asset, amount) {
  const balance = await balanceOf(rows, rows.caller.account, asset);
  if (balance < amount) {
    fail("INSUFFICIENT_FUNDS", `${amount} of ${asset} is more than the balance of ${balance}`);
  }
  await setBalance(rows, asset, balance - amount);
}

/** Gives somebody a credit of this transaction: a new row, which conflicts with nothing. */
async function credit(rows, { to, asset, amount }) {
  const from = rows.caller.account;
  await rows.put("credit", [to, asset, rows.tx], { amount, asset, from, to, tx: rows.tx });
}

/** Refuses an account that nobody opened: money sent there would be lost. */
async function needsAccount(rows, account) {
  if (!(await rows.get("account", account))) {
    fail("NO_SUCH_ACCOUNT", `${account} was not opened`);
  }
}

async function balanceOf(rows, account, asset) {
  const row = await rows.get("balance", account, asset);
  return row ? BigInt(row.amount) : 0n;
}

async function setBalance(rows, asset, amount) {
  if (amount > check.LIMITS.amountMax) {
    fail("OVERFLOW", `a balance of ${amount} of ${asset} is more than 2^128-1`);
  }
  const account = rows.caller.account;
  const row = { account, amount: amount.toString(), asset, tx: rows.tx };
  await rows.put("balance", [account, asset], row);
}

function termsOf(to, asset, amount) {
  return {
    to: check.account(to, "to"),
    asset: check.asset(asset),
    amount: check.amount(amount).toString(),
  };
}

module.exports = {
  credit,
  getBalance,
  listCredits,
  mint,
  needsAccount,
  openAccount,
  pay,
  spend,
  sweep,
  whoAmI,
};
