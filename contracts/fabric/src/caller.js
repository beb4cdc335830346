// Who calls, as the peer proved it. A client cannot choose its account: it is made of the MSP that
// vouches for its certificate and of the certificate's subject and issuer, so it stays the same
// when the certificate is renewed with these as they were.
"use strict";

const { sha256 } = require("./canonical");
const check = require("./check");
const { fail } = require("./fail");

/** The attribute that makes a client an admin of its own organisation's money. */
const ADMIN = "sdpp.admin";

/** The caller's account, the MSP and identity that it is bound to, and whether it is an admin. */
function callerOf(ctx) {
  const msp = check.msp(ctx.clientIdentity.getMSPID());
  const id = ctx.clientIdentity.getID();
  return {
    account: `${msp}:${sha256(msp, "\0", id).slice(2)}`,
    msp,
    id,
    admin: ctx.clientIdentity.assertAttributeValue(ADMIN, "true"),
  };
}

/** Refuses a caller that may not make money of this asset: another organisation's admin neither. */
function needsAdminOf(caller, asset) {
  const [issuer] = asset.split("/");
  if (!caller.admin || caller.msp !== issuer) {
    fail("NOT_ALLOWED", `only a client of ${issuer} with ${ADMIN}=true may mint ${asset}`);
  }
}

module.exports = { callerOf, needsAdminOf };
