// Makes SdppEscrow.json and TestToken.json, all that the Rust side reads, from what forge compiles;
// with --check only says whether those that are checked in are the same.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const check = process.argv[2] === "--check";
const names = ["SdppEscrow", "TestToken"];

const packaged = join(here, "node_modules/.bin/forge");
const forge = existsSync(packaged) ? packaged : "forge";
const paths = names.map((name) => `src/${name}.sol`);
execFileSync(forge, ["build", "--quiet", ...paths], { cwd: here, stdio: "inherit" });

for (const name of names) {
  const path = join(here, `${name}.json`);
  const text = JSON.stringify(artifact(name), null, 2) + "\n";
  if (!check) {
    writeFileSync(path, text);
  } else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
    console.error(`artifact: ${name}.json is not what the source gives; run \`npm run artifact\``);
    process.exitCode = 1;
  }
}

function artifact(contractName) {
  const path = join(here, `out/${contractName}.sol/${contractName}.json`);
  const built = JSON.parse(readFileSync(path, "utf8"));
  const { compiler, settings, sources } = built.metadata;
  const { compilationTarget, libraries, remappings, ...kept } = settings;
  return {
    contractName,
    compiler: compiler.version,
    settings: kept,
    // Keccak-256 of each source that went in.
    sources: Object.fromEntries(Object.entries(sources).map(([name, s]) => [name, s.keccak256])),
    abi: built.abi,
    bytecode: built.bytecode.object,
    deployedBytecode: built.deployedBytecode.object,
    // Where the deployed bytecode has words that the constructor fills in, so that a reader can
    // compare the rest with what stands on a chain: each begins here and is 32 bytes long.
    immutables: Object.values(built.deployedBytecode.immutableReferences)
      .flat()
      .map(({ start }) => start)
      .sort((a, b) => a - b),
  };
}
