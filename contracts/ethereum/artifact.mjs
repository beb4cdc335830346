// Makes SdppEscrow.json, all that the Rust side reads, from what forge compiles; with --check only
// says whether the one that is checked in is the same.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const path = join(here, "SdppEscrow.json");

const packaged = join(here, "node_modules/.bin/forge");
const forge = existsSync(packaged) ? packaged : "forge";
execFileSync(forge, ["build", "--quiet", "src/SdppEscrow.sol"], { cwd: here, stdio: "inherit" });

const built = JSON.parse(readFileSync(join(here, "out/SdppEscrow.sol/SdppEscrow.json"), "utf8"));
const { compiler, settings, sources } = built.metadata;
const { compilationTarget, libraries, remappings, ...kept } = settings;
const artifact = {
  contractName: "SdppEscrow",
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
const text = JSON.stringify(artifact, null, 2) + "\n";

if (process.argv[2] !== "--check") {
  writeFileSync(path, text);
} else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
  console.error("artifact: SdppEscrow.json is not what the source gives; run `npm run artifact`");
  process.exit(1);
}
