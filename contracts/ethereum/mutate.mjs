// Plants one fault at a time in a contract and runs its tests: each must be noticed. Writes
// mutants.md and bond-mutants.md. By hand, as it takes long: `npm run mutate`, with the name of one
// contract for its faults alone, with names of faults for these. A run that was stopped goes on where
// it was, if neither the contract nor a test has changed.
import { execFileSync, fork, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as bonds from "./bond-faults.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const WORKERS = Number(process.env.WORKERS ?? 2);

// A name, what is there (once), and the fault in its place.
const faults = [
  ["grace period may be shorter", "gracePeriod >= MIN_GRACE_PERIOD", "gracePeriod + 1 >= MIN_GRACE_PERIOD"],
  ["grace period may be longer", "gracePeriod <= MAX_GRACE_PERIOD", "gracePeriod <= MAX_GRACE_PERIOD + 1"],
  ["payee may be zero", "require(payee != address(0), InvalidPayee());", ""],
  ["deposit may be zero", "require(deposit != 0, ZeroDeposit());", ""],
  ["id may be opened twice", "require(Seat.unwrap(channel.payee) == 0, ChannelAlreadyExists());", ""],
  ["id leaves out the salt", "abi.encode(payer, payee, token, salt,", "abi.encode(payer, payee, token, bytes32(0),"],
  ["id leaves out the chain", "address(this), block.chainid)", "address(this), uint256(31337))"],
  ["token is not kept", "channel.token = token;", ""],
  ["signer is not kept", "channel.authorizedSigner = authorizedSigner;", ""],
  ["signer takes the token's flag", "flags |= HAS_SIGNER;", "flags = HAS_SIGNER;"],
  ["deposit may overflow its seat", "deposit <= type(uint88).max", "deposit <= type(uint96).max"],
  ["deposit of the whole width is refused", "deposit <= type(uint88).max", "deposit < type(uint88).max"],
  ["less coin than the deposit is taken", "require(msg.value == amount, ValueNotDeposit());", "require(msg.value <= amount, ValueNotDeposit());"],
  ["more coin than the deposit is taken", "require(msg.value == amount, ValueNotDeposit());", "require(msg.value >= amount, ValueNotDeposit());"],
  ["coin with a token is kept", "require(msg.value == 0, ValueNotDeposit());", ""],
  ["fee on transfer is let through", "== before + amount, DepositNotReceived()", "<= before + amount, DepositNotReceived()"],
  ["bonus on transfer is let through", "== before + amount, DepositNotReceived()", ">= before + amount, DepositNotReceived()"],
  ["failed deposit is let through", "require(done && _balance(token, gasleft()) == before + amount, DepositNotReceived());", "require(done || true, DepositNotReceived());"],
  ["top up by anyone", "require(_account(channel.payer) == msg.sender, NotPayer());", ""],
  ["top up of nothing", "require(additionalDeposit != 0, ZeroDeposit());", ""],
  ["top up is not paid", "_take(channel.token, additionalDeposit);", ""],
  ["top up replaces the deposit", "uint256 deposit = _amount(channel.payer) + additionalDeposit;", "uint256 deposit = additionalDeposit;"],
  ["top up forgets the flags", "_narrow(deposit), _flags(channel.payer));", "_narrow(deposit), 0);"],
  ["top up keeps the request to close", "channel.closeRequestedAt = 0;", ""],
  ["asking again starts again", "if (channel.closeRequestedAt != 0) return;", ""],
  ["withdraw without a request", "asked != 0 && block", "block"],
  ["withdraw before the grace period ends", "block.timestamp >= asked + CLOSE_GRACE_PERIOD", "block.timestamp + 1 >= asked + CLOSE_GRACE_PERIOD"],
  ["withdraw one second late", "block.timestamp >= asked + CLOSE_GRACE_PERIOD", "block.timestamp > asked + CLOSE_GRACE_PERIOD"],
  ["withdraw without end", "asked + CLOSE_GRACE_PERIOD, CloseNotReady()", "asked + 2 * CLOSE_GRACE_PERIOD, CloseNotReady()"],
  ["withdraw gives the settled part too", "uint256 rest = _amount(channel.payer) - _amount(payee);", "uint256 rest = _amount(channel.payer);"],
  ["withdraw twice", "channel.payee = _raised(payee, 0, FINALIZED);", ""],
  ["payer acts in a finalized channel", "require(_flags(channel.payee) == 0, ChannelFinalized());", ""],
  ["payer's channel need not be there", "require(Seat.unwrap(channel.payee) != 0, ChannelNotFound());", ""],
  ["payer's checks in another order", "require(_account(channel.payer) == msg.sender, NotPayer());\n        require(_flags(channel.payee) == 0, ChannelFinalized());", "require(_flags(channel.payee) == 0, ChannelFinalized());\n        require(_account(channel.payer) == msg.sender, NotPayer());"],
  ["anyone redeems", "if ((Seat.unwrap(payee) ^ uint160(msg.sender)) & NOT_AMOUNT != 0) {", "if (Seat.unwrap(payee) == 0 || _flags(payee) != 0) {"],
  ["unknown channel is not told", "if (Seat.unwrap(payee) == 0) return ChannelNotFound.selector;", ""],
  ["a stranger is told of the end", "return _is(payee, msg.sender) ? ChannelFinalized.selector : NotPayee.selector;", "return _flags(payee) != 0 ? ChannelFinalized.selector : NotPayee.selector;"],
  ["voucher after the end", "if ((Seat.unwrap(payee) ^ uint160(msg.sender)) & NOT_AMOUNT != 0) {", "if (!_is(payee, msg.sender)) {"],
  ["voucher above the deposit", "if (paid - 1 < _amount(payer) - settled) {", "if (amount > settled) {"],
  ["voucher one above the deposit", "if (paid - 1 < _amount(payer) - settled) {", "if (paid - 1 <= _amount(payer) - settled) {"],
  ["voucher for the whole deposit is refused", "if (paid - 1 < _amount(payer) - settled) {", "if (paid < _amount(payer) - settled) {"],
  ["settle of the settled amount", "} else if (!closing || paid != 0) {", "} else if (paid != 0) {"],
  ["close below the settled amount", "} else if (!closing || paid != 0) {", "} else if (!closing) {"],
  ["close at the settled amount is refused", "} else if (!closing || paid != 0) {", "} else {"],
  ["deposit and increase told in another way", "} else if (amount > settled) {", "} else if (amount >= settled) {"],
  ["payer signs though another should", "signer = _seat(channel.authorizedSigner, 0, 0);", ""],
  ["signature is not looked at", "return (InvalidSignature.selector, NOBODY, 0);", ""],
  ["settle finalizes", "channel.payee = _raised(payee, paid, 0);", "channel.payee = _raised(payee, paid, FINALIZED);"],
  ["settle books nothing", "channel.payee = _raised(payee, paid, 0);", ""],
  ["settle books the sum again", "channel.payee = _raised(payee, paid, 0);", "channel.payee = _raised(payee, amount, 0);"],
  ["close does not finalize", "channel.payee = _raised(payee, paid, FINALIZED);", "channel.payee = _raised(payee, paid, 0);"],
  ["high s is taken", "lt(mload(add(free, 96)), add(HALF_ORDER, 1))", "1"],
  ["high s is taken from a wallet", "if (uint256(bytes32(signature[32:64])) > HALF_ORDER) return false;", ""],
  ["border of s is off", "if (uint256(bytes32(signature[32:64])) > HALF_ORDER) return false;", "if (uint256(bytes32(signature[32:64])) >= HALF_ORDER) return false;"],
  ["signature of any length", "if sub(signature.length, SIGNATURE) { signatureAt := calldatasize() }", ""],
  ["wallet's word without a signature", "if (signatureAt == msg.data.length) return false;", ""],
  ["wallet says any word", "&& abi.decode(answer, (bytes32)) == bytes32(IERC1271.isValidSignature.selector)", ""],
  ["wallet's short answer", "return answered && answer.length >= 32\n            && abi.decode(answer, (bytes32))", "return answered\n            && bytes32(answer)"],
  ["wallet that fails has signed", "return answered && answer.length >= 32", "return !answered || answer.length >= 32"],
  ["wallets in a batch", "_redeem(channel, domain, id, amount, signatureAt, closing, false)", "_redeem(channel, domain, id, amount, signatureAt, closing, true)"],
  ["no wallets at all", "_redeem(channel, _domain(), channelId, amount, signatureAt, closing, true)", "_redeem(channel, _domain(), channelId, amount, signatureAt, closing, false)"],
  ["wallet comes first", "if (!_is(signer, by)) {", "if (_account(signer).code.length != 0 || !_is(signer, by)) {"],
  ["digest leaves out the channel", "mstore(add(free, 32), channelId)", "mstore(add(free, 32), 0)"],
  ["digest leaves out the amount", "mstore(add(free, 64), amount)", "mstore(add(free, 64), 0)"],
  ["domain of the home chain for ever", "return block.chainid == HOME_CHAIN ? HOME_DOMAIN : _domainSeparatorV4();", "return HOME_DOMAIN;"],
  ["domain has another name", 'EIP712("EVM Payment Channel", "1")', 'EIP712("Tempo Stream Channel", "1")'],
  ["voucher has another type", "Voucher(bytes32 channelId,uint128 cumulativeAmount)", "Voucher(bytes32 channelId,uint256 cumulativeAmount)"],
  ["close keeps the rest", "if (closing) _payOther(_account(payer), token, _rest(payer, amount));", ""],
  ["settle gives the rest too", "if (closing) _payOther(_account(payer), token, _rest(payer, amount));", "_payOther(_account(payer), token, _rest(payer, amount));"],
  ["rest is the whole deposit", "return _amount(payer) - amount;", "return _amount(payer);"],
  ["token channel pays coin", "address token = _flags(payer) & HAS_TOKEN != 0 ? channel.token : COIN;\n        if (paid", "address token = COIN;\n        if (paid"],
  ["token channel pays coin in a batch", "address token = _flags(payer) & HAS_TOKEN != 0 ? channel.token : COIN;\n            if (token", "address token = COIN;\n            if (token"],
  ["refused row is paid", "if (Seat.unwrap(payer) == 0) {", "if (false) {"],
  ["refused voucher is no error", "if (Seat.unwrap(payer) == 0) _revert(refusal);", "if (Seat.unwrap(payer) == 0) return;"],
  ["what was recovered before is taken again", "mstore(0, 0)", ""],
  ["batch of 201 rows", "rows.length <= MAX_BATCH * ROW", "rows.length <= (MAX_BATCH + 1) * ROW"],
  ["batch of 199 rows", "rows.length <= MAX_BATCH * ROW", "rows.length < MAX_BATCH * ROW"],
  ["batch of broken rows", "require(rows.length % ROW == 0, BatchNotInRows());", "if (rows.length % ROW != 0) return;"],
  ["bad row ends the batch", "emit RowSkipped(id, amount, refusal);\n                continue;", "_revert(refusal);"],
  ["bad row is not told", "emit RowSkipped(id, amount, refusal);", ""],
  ["batch mixes tokens", "if (token != due) {", "if (false) {"],
  ["batch forgets what was due", "if (total != 0) _payCaller(due, total);\n                (due, total) = (token, 0);", "(due, total) = (token, 0);"],
  ["batch pays twice what was due", "(due, total) = (token, 0);", "due = token;"],
  ["batch pays the last row only", "total += paid;", "total = paid;"],
  ["batch keeps the last rests", "_payOther(toPayer.to, toPayer.token, toPayer.amount);", ""],
  ["batch keeps the rests between", "_payOther(due.to, due.token, due.amount);", ""],
  ["batch mixes payers", "if (due.to != to || due.token != token) {", "if (due.amount == 0 || due.token != token) {"],
  ["batch mixes the payer's tokens", "if (due.to != to || due.token != token) {", "if (due.to != to) {"],
  ["batch settle gives rests", "if (closing && _amount(payer) != amount) {", "if (_amount(payer) != amount) {"],
  ["row's amount is wider", "amount := shr(128, calldataload(add(begin, 32)))", "amount := and(0xffffffff, shr(128, calldataload(add(begin, 32))))"],
  ["failed payout to the caller is lost", "if (!done) _credit(msg.sender, token, amount);", ""],
  ["failed payout to the other is lost", "if (!done) _credit(to, token, amount);", ""],
  ["failed payout ends the call", "if (!done) _credit(to, token, amount);", "require(done, PayoutRefused());"],
  ["credit replaces credit", "credited[token][to] += amount;", "credited[token][to] = amount;"],
  ["credit of another token", "credited[token][to] += amount;", "credited[COIN][to] += amount;"],
  ["credit is taken twice", "credited[token][msg.sender] = 0;", ""],
  ["credit is cleared too late", "credited[token][msg.sender] = 0;\n        emit", "emit"],
  ["credit that fails is gone", "require(done, PayoutRefused());", ""],
  ["credit of nothing", "require(amount != 0, NothingCredited());", ""],
  ["coin credit to the caller only", "_send(to, amount, gasleft())", "_send(msg.sender, amount, gasleft())"],
  ["token credit to the caller only", "_sendToken(to, token, amount, false)", "_sendToken(msg.sender, token, amount, false)"],
  ["payer may burn the gas", "? _send(to, amount, _bounded(COIN_GAS))", "? _send(to, amount, gasleft())"],
  ["token may burn the gas", "_call(token, bounded ? _bounded(TOKEN_GAS) : gasleft(), data)", "_call(token, gasleft(), data)"],
  ["payout may be starved", "require(gasleft() >= allowance + allowance / 63 + 15_000, GasTooLow());", ""],
  ["payout may nearly be starved", "allowance + allowance / 63 + 15_000", "allowance"],
  ["token is believed that it moved", "return done && _balance(token, bounded ? _bounded(TOKEN_GAS) : gasleft()) < before;", "return done;"],
  ["token calls back", "require(busy == 0, Reentered());", ""],
  ["token is locked for good", "_;\n        busy = 0;", "_;"],
  ["payout is not locked", "        locked\n        returns (bool)", "        returns (bool)"],
  ["deposit is not locked", "function _takeToken(address token, uint256 amount) private locked {", "function _takeToken(address token, uint256 amount) private {"],
  ["balance of a mute token", "if and(done, gt(returndatasize(), 31)) { amount := mload(0) }", "amount := mload(0)"],
  ["record tells another session", "emit Recorded(msg.sender, session, kind, digest);", "emit Recorded(msg.sender, digest, kind, session);"],
  ["root is not told", "emit RootRecorded(msg.sender, root, count);", ""],
  ["opening is not told", "emit ChannelOpened(channelId, msg.sender, payee, token, authorizedSigner, salt, deposit);", ""],
  ["amount read too narrow", "return uint88(Seat.unwrap(seat) >> 160);", "return uint80(Seat.unwrap(seat) >> 160);"],
  ["account compared too narrowly", "(Seat.unwrap(seat) ^ uint160(account)) << 96 == 0", "(Seat.unwrap(seat) ^ uint160(account)) << 248 == 0"],
];

// Faults that change nothing that can be seen, each with the reason.
const equivalents = {
  "what was recovered before is taken again":
    "the word there is the channel's id, as its slot was computed before; for its last 20 bytes to be the signer, an account would have to be found that a hash of itself ends with",
};

// Each contract with its faults, and the tests that are run on them. `thorough`: the invariants are
// run on each fault; else on those that no other test notices, and on those that say so.
const BOND_TESTS =
  "^(Bond|BondMoney|Conviction|Challenge|Dataset|Demand|Answer|Receipt|BondInvariants)Test$";
const contracts = [
  {
    contract: "SdppEscrow",
    report: "mutants.md",
    faults,
    equivalents,
    tests: ["--no-match-contract", `GasTest|BondVectorsTest|${BOND_TESTS}`],
    thorough: true,
  },
  {
    contract: "SdppBonds",
    parts: "src/bonds",
    report: "bond-mutants.md",
    faults: bonds.faults,
    equivalents: bonds.equivalents,
    tests: ["--match-contract", BOND_TESTS],
  },
];

/** The file that a fault is planted in, and what then stands there. */
function mutant({ sources }, [name, there, fault]) {
  const cuts = Object.entries(sources).map(([path, text]) => [path, text.split(there)]);
  const places = cuts.reduce((sum, [, { length }]) => sum + length - 1, 0);
  if (places !== 1) throw new Error(`"${name}" is at ${places} places`);
  const [path, around] = cuts.find(([, { length }]) => length === 2);
  return [path, around.join(fault)];
}

/** Runs the tests on a fault in a folder of its own: the tests that noticed. */
async function run(folder, of, fault) {
  const [path, text] = mutant(of, fault);
  writeFileSync(join(folder, path), text);
  try {
    return await noticed(folder, of, fault);
  } finally {
    writeFileSync(join(folder, path), of.sources[path]);
  }
}

async function noticed(folder, of, fault) {
  if (of.thorough) return test(folder, fault[0], of.tests);
  const [first, last] = ["--no-match-test", "--match-test"].map((match) => [...of.tests, match, "^invariant"]);
  const by = await test(folder, fault[0], first);
  if (by.length && !fault[3]) return by;
  return [...by, ...(await test(folder, fault[0], last))];
}

async function test(folder, name, tests) {
  const forge = join(here, "node_modules/.bin/forge");
  // Dearer is not wrong: gas does not count here, nor does a variable that a fault left unused.
  const args = ["test", "--deny", "never", ...tests];
  // Nor does the shortest sequence that breaks an invariant, which would take most of the time.
  const env = { ...process.env, FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT: "0" };
  const child = spawn(forge, args, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  child.stdout.on("data", (data) => (text += data));
  child.stderr.on("data", (data) => (text += data));
  await new Promise((done) => child.on("close", done));
  if (!text.includes("Suite result")) throw new Error(`"${name}" does not compile:\n${text}`);
  const noticed = [...text.matchAll(/^\[FAIL.*?\] ?(test\w*|invariant\w*|setUp)\(/gm)].map((m) => m[1]);
  const sequences = [...text.matchAll(/^ ?(invariant_\w+)\(\) \(runs/gm)].map((m) => m[1]);
  return [...new Set([...noticed, ...sequences])];
}

/** What forge takes for a solc in a folder: one that asks a compiler that stays warm. */
async function warm(folder) {
  const socket = join(folder, "solc.sock");
  const compiler = fork(join(here, "compiler.mjs"), [socket]);
  await new Promise((ready) => compiler.once("message", ready));
  const version = execFileSync(join(here, "solc"), ["--version"]).toString();
  const ask = `const s = require("net").connect("${socket}"); process.stdin.pipe(s).pipe(process.stdout)`;
  const script = `#!/bin/sh
case " $* " in
*" --version "*) cat <<END
${version}END
;;
*) exec node -e '${ask}' ;;
esac
`;
  writeFileSync(join(folder, "solc"), script, { mode: 0o755 });
  return compiler;
}

async function work(folder, of, queue) {
  const compiler = await warm(folder);
  try {
    for (let fault = queue.shift(); fault; fault = queue.shift()) {
      const by = await run(folder, of, fault);
      of.results[fault[0]] = by;
      writeFileSync(of.kept, JSON.stringify({ key: of.key, results: of.results }));
      const equal = of.equivalents[fault[0]] ? "equivalent" : "NOT NOTICED";
      console.log(`${fault[0]}: ${by.length ? `noticed by ${by.length}` : equal}`);
    }
  } finally {
    compiler.disconnect();
  }
}

function report({ contract, faults, equivalents, results }) {
  const names = faults.map(([name]) => name);
  const kept = names.filter((name) => !results[name].length);
  const lines = names.map((name) => {
    const by = results[name];
    const invariants = by.filter((test) => test.startsWith("invariant"));
    const first = by.find((test) => !test.startsWith("invariant")) ?? "";
    return `| ${name} | ${first || equivalents[name] || ""} | ${invariants
      .map((test) => test.replace("invariant_", "").replaceAll("_", " "))
      .join("; ")} |`;
  });
  return [
    contract === "SdppEscrow" ? "# Planted faults" : `# Planted faults in ${contract}`,
    "",
    `${names.length} faults, made and run by \`npm run mutate\`: ${names.length - kept.length}`,
    `noticed by the tests, ${kept.length} that nothing can notice.`,
    "",
    "| fault | the first test that notices | invariants that notice |",
    "|---|---|---|",
    ...lines,
    "",
  ].join("\n");
}

/** Reads what is to be tested, and what is known of it from a run that was stopped. */
function prepare(of) {
  // The contract's own files: a contract in parts is a folder of them.
  const paths = [`src/${of.contract}.sol`, ...(of.parts ? parts(of.parts) : [])];
  of.sources = Object.fromEntries(
    paths.map((path) => [path, readFileSync(join(here, path), "utf8")]),
  );
  of.faults.forEach((fault) => mutant(of, fault));
  const tests = readdirSync(join(here, "test")).sort();
  const texts = tests.map((name) => readFileSync(join(here, "test", name)));
  const all = createHash("sha256").update(Object.values(of.sources).join() + of.faults.join());
  of.key = all.update(Buffer.concat(texts)).digest("hex");
  of.kept = join(here, `out/${of.report}.json`);
  const before = existsSync(of.kept) ? JSON.parse(readFileSync(of.kept, "utf8")) : {};
  of.results = before.key === of.key ? before.results : {};
}

function parts(folder) {
  return readdirSync(join(here, folder)).sort().map((name) => `${folder}/${name}`);
}

function folder() {
  const folder = mkdtempSync(join(tmpdir(), "sdpp-mutant-"));
  for (const name of ["src", "test", "foundry.toml", "solc", "out", "cache"]) {
    cpSync(join(here, name), join(folder, name), { recursive: true, preserveTimestamps: true });
  }
  symlinkSync(join(here, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** Plants the faults that were asked for, or all: how many nobody noticed. */
async function check(of, asked) {
  prepare(of);
  const queue = of.faults.filter(([name]) => !asked.length || asked.includes(name));
  const left = queue.filter(([name]) => asked.length || !of.results[name]);
  const folders = Array.from({ length: WORKERS }, folder);
  try {
    await Promise.all(folders.map((folder) => work(folder, of, left)));
  } finally {
    folders.forEach((folder) => rmSync(folder, { recursive: true }));
  }
  if (!asked.length) writeFileSync(join(here, of.report), report(of));
  const alive = queue.filter(([name]) => !of.results[name].length && !of.equivalents[name]);
  console.log(`${of.contract}: ${queue.length} faults, ${alive.length} not noticed`);
  return alive.length;
}

const args = process.argv.slice(2);
const names = contracts.map(({ contract }) => contract);
const asked = args.filter((name) => !names.includes(name));
execFileSync(join(here, "node_modules/.bin/forge"), ["build", "--quiet"], { cwd: here });
let alive = 0;
for (const of of contracts) {
  if (args.some((name) => names.includes(name)) && !args.includes(of.contract)) continue;
  alive += await check(of, asked);
}
process.exitCode = alive ? 1 : 0;
