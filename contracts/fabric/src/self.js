// What this chaincode is called on its channel. Its process is told the package's id alone, so the
// name is that of the package's label without its version (`sdpp_1:<hash>` is `sdpp`), or
// SDPP_CHAINCODE_NAME, for a channel that has it under another. It is the same for all its calls.
"use strict";

const OPTIONS = ["--chaincode-id", "--chaincode-id-name"];
const VERSION = /[_-]v?[0-9][0-9A-Za-z.]*$/;

/** The name that a process with these arguments and this environment has; empty where none says. */
function nameOf(argv, env) {
  const id = option(argv) ?? env.CORE_CHAINCODE_ID_NAME ?? env.CORE_CHAINCODE_ID ?? "";
  return env.SDPP_CHAINCODE_NAME || id.split(":")[0].replace(VERSION, "");
}

/** This process's. */
const NAME = nameOf(process.argv, process.env);

function option(argv) {
  const at = argv.findIndex((word) => OPTIONS.includes(word.split("=")[0]));
  return at < 0 ? undefined : argv[at].split("=")[1] ?? argv[at + 1];
}

module.exports = { NAME, nameOf };
