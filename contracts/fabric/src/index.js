// What fabric-chaincode-node loads: the one contract of this chaincode.
"use strict";

const { Settlement } = require("./contract");

module.exports.contracts = [Settlement];
