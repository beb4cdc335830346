// Makes a JSON file of each contract, all that the Rust side reads, from what forge compiles;
// with --check only says whether those that are checked in are the same.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const check = process.argv[2] === "--check";
const names = ["SdppEscrow", "SdppBonds", "TestToken"];

const packaged = join(here, "node_modules/.bin/forge");
const forge = existsSync(packaged) ? packaged : "forge";
const paths = names.map((name) => `src/${name}.sol`);
// In one go and apart from the tests' build: ids in a syntax tree hold within one compilation.
const out = join(here, "out/artifact");
const apart = ["--out", out, "--cache-path", join(out, "cache"), "--force"];
execFileSync(forge, ["build", "--quiet", "--ast", ...apart, ...paths], {
  cwd: here,
  stdio: "inherit",
});
const immutables = namesOfImmutables();

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
  const built = read(join(out, `${contractName}.sol/${contractName}.json`));
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
    // compare the rest with what stands on a chain: of each, where it begins; it has 32 bytes.
    immutables: Object.fromEntries(
      Object.entries(built.deployedBytecode.immutableReferences)
        .map(([id, places]) => [immutables[id], places.map(({ start }) => start)])
        .sort(),
    ),
  };
}

// The name of each immutable that was compiled, by its id.
function namesOfImmutables() {
  const names = {};
  const visit = (node) => {
    if (node === null || typeof node !== "object") return;
    if (node.nodeType === "VariableDeclaration" && node.mutability === "immutable") {
      names[node.id] = node.name;
    }
    Object.values(node).forEach(visit);
  };
  for (const file of readdirSync(out, { recursive: true })) {
    if (/\.sol\/\w+\.json$/.test(file)) visit(read(join(out, file)).ast);
  }
  return names;
}

function read(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
