// The chaincode's functions, as clients call them. Each is one line: what it does stands in the
// module that it is passed to. Those that begin with Get, List or WhoAmI are for questions.
"use strict";

const { Contract } = require("fabric-contract-api");
const { canonical } = require("./canonical");
const check = require("./check");
const { needsDirect } = require("./direct");
const { fail, quoted } = require("./fail");
const ious = require("./ious");
const money = require("./money");
const records = require("./records");
const { EVENTS, Rows } = require("./rows");

/** Records, money and IOUs of one channel. */
class Settlement extends Contract {
  constructor() {
    super("sdpp");
  }

  /** What this chaincode is, and the most that it takes. */
  async GetInfo() {
    const { amountMax, ...limits } = check.LIMITS;
    const { name, version } = require("../package.json");
    return { name, version, limits: { ...limits, amountMax: amountMax.toString() } };
  }

  async WhoAmI(ctx) {
    return money.whoAmI(ctx);
  }

  async OpenAccount(ctx) {
    return money.openAccount(ctx);
  }

  async GetAccount(ctx, account) {
    return new Rows(ctx).need("account", check.account(account, "account"));
  }

  async Anchor(ctx, reference, digest) {
    return records.anchor(ctx, reference, digest);
  }

  async AnchorRoot(ctx, root, count) {
    return records.anchorRoot(ctx, root, count);
  }

  async PutRecord(ctx, reference, chain, seq, kind, body) {
    return records.putRecord(ctx, reference, chain, seq, kind, body);
  }

  async PutPrivateRecord(ctx, reference, chain, seq, kind) {
    return records.putPrivateRecord(ctx, reference, chain, seq, kind);
  }

  async GetPrivateRecord(ctx, owner, reference) {
    return records.getPrivateRecord(ctx, owner, reference);
  }

  async GetHead(ctx, owner, chain) {
    return records.getHead(ctx, owner, chain);
  }

  async GetChain(ctx, owner, chain, from) {
    return records.getChain(ctx, owner, chain, from);
  }

  async Mint(ctx, reference, to, asset, amount) {
    return money.mint(ctx, reference, to, asset, amount);
  }

  async Pay(ctx, reference, to, asset, amount) {
    return money.pay(ctx, reference, to, asset, amount);
  }

  async Sweep(ctx, reference, asset, credits) {
    return money.sweep(ctx, reference, asset, credits);
  }

  async GetBalance(ctx, account, asset) {
    return money.getBalance(ctx, account, asset);
  }

  async ListCredits(ctx, account, asset) {
    return money.listCredits(ctx, account, asset);
  }

  async Owe(ctx, reference, to, unit, amount) {
    return ious.owe(ctx, reference, to, unit, amount);
  }

  async PassIou(ctx, reference, debtor, iou, to) {
    return ious.passIou(ctx, reference, debtor, iou, to);
  }

  async RedeemIou(ctx, reference, iou) {
    return ious.redeemIou(ctx, reference, iou);
  }

  async DischargeIou(ctx, reference, debtor, iou) {
    return ious.dischargeIou(ctx, reference, debtor, iou);
  }

  async NetIous(ctx, reference, other, unit, mine, theirs) {
    return ious.netIous(ctx, reference, other, unit, mine, theirs);
  }

  async GetIou(ctx, debtor, iou) {
    return ious.getIou(ctx, debtor, iou);
  }

  async GetIous(ctx, account, unit) {
    return ious.getIous(ctx, account, unit);
  }

  /** Reads back what an account did under a reference: `payment`, `anchor`, `iou` and so on. */
  async Get(ctx, type, owner, reference) {
    if (!Object.hasOwn(EVENTS, type) || type === "account") {
      fail("BAD_ARGUMENT", `no such type of row: ${quoted(type)}`);
    }
    return new Rows(ctx).need(type, ...records.place(owner, reference));
  }

  /** Each function is for clients, not for other chaincodes. */
  async beforeTransaction(ctx) {
    needsDirect(ctx.stub);
  }

  /** Answers are canonical too: what endorsers answer must be the same bytes. As a text, since an
   * object would go through the shim's own serializer. */
  async aroundTransaction(ctx, name, args) {
    return canonical(await super.aroundTransaction(ctx, name, args));
  }
}

module.exports = { Settlement };
