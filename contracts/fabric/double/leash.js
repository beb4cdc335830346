// Loaded into the chaincode process before all else: whoever started it holds the other end of its
// standard input, so when that one is gone, however it went, the chaincode goes too.
"use strict";

process.stdin.once("close", () => process.exit(0)).resume();
