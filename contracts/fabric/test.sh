#!/usr/bin/env bash
# Checks everything here, on the double of a network: the house's rules, the chaincode's behaviour,
# the double's. Needs Node 20 and npm; works from any folder.
#
# With SDPP_FABRIC_URL (and SDPP_FABRIC_CHANNEL, SDPP_FABRIC_CHAINCODE, SDPP_FABRIC_SIGNER) the
# chaincode's behaviour is checked on that real gateway, whose CA must let us register clients, and
# what needs the double is skipped aloud.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

behaviour=(test/records.test.js test/money.test.js test/ious.test.js test/contention.test.js)

npm ci --ignore-scripts --silent --no-audit --no-fund
# Most of the time goes by with waiting for blocks, so more at once than a small machine has cores.
run=(node --test --test-concurrency=4 --test-timeout=120000 --test-reporter=dot)
if [[ -n ${SDPP_FABRIC_URL:-} ]]; then
    echo "test: on $SDPP_FABRIC_URL; the tests of faults, shapes, events and the double ARE SKIPPED" >&2
    "${run[@]/dot/spec}" "${behaviour[@]}"
else
    "${run[@]}" test/*.test.js
fi
echo "test: all passed in $SECONDS s"
