#!/usr/bin/env bash
# Checks everything here: formatting, the artifact against the source, the tests, the gas table.
# Needs Node 20 and npm; works from any folder. `FOUNDRY_PROFILE=deep` runs the long ones.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

npm ci --ignore-scripts --silent --no-audit --no-fund
# The platform package's own forge: the wrapper package's exits 0 when a test fails.
PATH=$PWD/node_modules/.bin:$PATH
command -v forge >/dev/null || {
    echo "test: npm has no forge for this platform; install one from https://getfoundry.sh" >&2
    exit 1
}

forge fmt --check
node artifact.mjs --check
forge test --summary
diff <(grep -E "^\| .* \| [0-9]+ \|" gas.md) <(cat out/gas.md out/gas-bonds.md) || {
    echo "test: gas.md is not what the calls cost (right); copy the rows from out/gas*.md" >&2
    exit 1
}
echo "test: all passed in $SECONDS s"
