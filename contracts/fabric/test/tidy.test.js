// The house's rules for these files, as far as a small program can see them.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { wrap } = require("node:module");
const path = require("node:path");
const { test } = require("node:test");
const { Script } = require("node:vm");

const HOME = path.join(__dirname, "..");
const LINES_MAX = 500;
const COLUMNS_MAX = 100;
/** What gives one endorser another answer than the next. */
const NOT_DETERMINISTIC =
  /\b(Date\.now|new Date\(\)|Math\.r|random\w*\(|process\.|fetch\(|require\("node:(?!crypto"))/;

const files = ["src", "double", "test"].flatMap((folder) =>
  fs.readdirSync(path.join(HOME, folder)).map((name) => `${folder}/${name}`));
const sources = files.filter((name) => name.endsWith(".js"));

test("each file can be parsed, is short, strict and opens with what it is", () => {
  for (const name of sources) {
    new Script(wrap(read(name)), { filename: name });
    const lines = read(name).split("\n");
    assert.ok(lines.length <= LINES_MAX, `${name} has ${lines.length} lines`);
    assert.match(lines[0], /^\/\/ /, `${name} does not say what it is`);
    assert.ok(lines.includes('"use strict";'), `${name} is not strict`);
    lines.forEach((line, at) => {
      assert.ok(line.length <= COLUMNS_MAX, `${name}:${at + 1} has ${line.length} columns`);
      assert.ok(!/\s$|\t/.test(line), `${name}:${at + 1} has blanks at its end, or a tab`);
    });
  }
});

test("each exported function and class, and each public method, is documented", () => {
  for (const name of sources.filter((file) => !file.startsWith("test/"))) {
    const text = read(name);
    const exported = text.match(/^module\.exports = \{([^}]*)\}/m)?.[1] ?? "";
    for (const word of exported.split(",").map((part) => part.trim()).filter(Boolean)) {
      const told = "(\\*/|^// .*)\\n(async )?(function|class|const)";
      const declared = new RegExp(`${told} ${word}\\b`, "m");
      assert.match(text, declared, `${name}: ${word} is exported without a word`);
    }
  }
});

test("chaincode has no clock, chance or surroundings, but for its own name", () => {
  const named = "src/self.js";
  for (const name of sources.filter((file) => file.startsWith("src/") && file !== named)) {
    const found = NOT_DETERMINISTIC.exec(read(name));
    assert.equal(found, null, `${name}: ${found?.[0]}`);
  }
});

test("dependencies have exact versions, and are those of the lock file", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json"));
  const { packages } = JSON.parse(read("package-lock.json"));
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
    assert.equal(packages[`node_modules/${name}`].version, version, name);
  }
});

test("the README tells all functions, events and refusals there are, and no others", () => {
  const { CODES } = require("../src/fail");
  const { EVENTS } = require("../src/rows");
  const { Settlement } = require("../src/contract");
  const all = Object.getOwnPropertyNames(Settlement.prototype);
  const own = all.filter((name) => /^[A-Z]/.test(name));
  const section = (title) =>
    [...read("README.md").split(`## ${title}\n`)[1].split("\n## ")[0].matchAll(/^\| `(\w+)/gm)]
      .map((found) => found[1]);
  assert.deepEqual(section("Functions").sort(), own.sort());
  assert.deepEqual(section("Refusals").sort(), [...CODES].sort());
  const told = new Set([...read("README.md").matchAll(/event `(\w+)`/g)].map((found) => found[1]));
  assert.deepEqual([...told].sort(), [...new Set(Object.values(EVENTS))].sort());
});

function read(name) {
  return fs.readFileSync(path.join(HOME, name), "utf8");
}
