// What can be made to go wrong. A fault is armed over the admin port, fits the next calls that it
// is for, as many times as it says, and is then used up.
"use strict";

/** Texts that the real gateway answered with, by short names. `refuse` takes any other too. */
const TEXTS = {
  CONNECTION_FAILED:
    "CreateAndSendTransaction failed: SendTransaction failed: calling orderer " +
    "'127.0.0.1:7050' failed: Orderer Client Status Code: (2) CONNECTION_FAILED. Description: " +
    "dialing connection on target [127.0.0.1:7050]: connection is in TRANSIENT_FAILURE",
  SERVICE_UNAVAILABLE:
    "CreateAndSendTransaction failed: SendTransaction failed: calling orderer " +
    "'127.0.0.1:7050' failed: Orderer Server Status Code: (503) SERVICE_UNAVAILABLE. " +
    "Description: no Raft leader",
  TIMEOUT: "Client Status Code: (5) TIMEOUT. Description: request timed out or been cancelled",
  MVCC_READ_CONFLICT:
    "Event Server Status Code: (11) MVCC_READ_CONFLICT. Description: received invalid transaction",
  PHANTOM_READ_CONFLICT:
    "Event Server Status Code: (12) PHANTOM_READ_CONFLICT. " +
    "Description: received invalid transaction",
};

/** The faults there are, with the moments at which each can happen. */
const KINDS = {
  refuse: ["before"],
  freeze: ["before", "after", "late"],
  close: ["before", "after"],
  conflict: ["before"],
  inflight: ["before"],
  unplug: ["before"],
  events: ["duplicate", "late"],
};
const CALLS = ["submit", "query", "lookup"];
const ARMED_MAX = 100;
const TIMES_MAX = 10_000;
const MS_MAX = 600_000;

/** A fault that cannot be armed as it was asked for. */
class BadFault extends Error {}

/** The faults that are armed. */
class Faults {
  constructor() {
    this.armed = [];
    this.fired = {};
  }

  /** Arms a fault. */
  arm(asked) {
    if (this.armed.length >= ARMED_MAX) {
      throw new BadFault(`at most ${ARMED_MAX} faults are armed at once`);
    }
    const fault = checked(asked);
    this.armed.push(fault);
    return fault;
  }

  /** Takes back all that is armed. */
  disarm() {
    this.armed = [];
  }

  /** Uses up the first fault of a kind that fits a call, where one is armed. */
  take(kind, { on = "submit", when, func } = {}) {
    const fits = (fault) =>
      fault.fault === kind &&
      fault.on === on &&
      (when === undefined || fault.when === when) &&
      (fault.func === undefined || fault.func === func);
    const fault = this.armed.find(fits);
    if (!fault) {
      return undefined;
    }
    fault.times -= 1;
    this.armed = this.armed.filter(({ times }) => times > 0);
    this.fired[kind] = (this.fired[kind] ?? 0) + 1;
    return fault;
  }
}

function checked(asked) {
  if (typeof asked !== "object" || asked === null || !Object.hasOwn(KINDS, asked.fault)) {
    throw new BadFault(`fault must be one of ${Object.keys(KINDS).join(", ")}`);
  }
  const { fault, on = "submit", when = KINDS[fault][0], times = 1, func, text, ms = 0 } = asked;
  needs(KINDS[fault].includes(when), `when must be one of ${KINDS[fault].join(", ")}`);
  needs(CALLS.includes(on), `on must be one of ${CALLS.join(", ")}`);
  needs(Number.isInteger(times) && times >= 1 && times <= TIMES_MAX, `times is 1 to ${TIMES_MAX}`);
  needs(Number.isInteger(ms) && ms >= 0 && ms <= MS_MAX, `ms is 0 to ${MS_MAX}`);
  needs(func === undefined || typeof func === "string", "func must be a string");
  needs(text === undefined || typeof text === "string", "text must be a string");
  return { fault, on, when, times, func, text: TEXTS[text] ?? text ?? TEXTS.CONNECTION_FAILED, ms };
}

function needs(isRight, otherwise) {
  if (!isRight) {
    throw new BadFault(otherwise);
  }
}

module.exports = { BadFault, Faults, TEXTS };
