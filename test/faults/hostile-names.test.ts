/**
 * Promises 31 and 35: names that would leave their folder, and mutants of requests. Each gets an
 * answer, and nothing is made outside the folder.
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { parseRequest, type RequestInput } from "../../src/core/request.ts";
import { isRequestId, readRequest, requestIds } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { loader } from "../schedules/support.ts";
import { orchd } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { tempRoot } from "../support/temp-root.ts";

const SEED = 20261123;
const PIECES = [
  "..",
  "../",
  "/",
  "\\",
  "..\\",
  "%2e%2e%2f",
  "\0",
  "\n",
  "p",
  "P",
  ".",
  "~",
  "/etc/passwd",
  ".orchd",
  "p@",
  "@",
  "20261123T020000Z",
].concat([
  "-m",
  "-r1",
  ".weekly",
  "‥",
  "．．／",
  "\u202e",
  "$(touch x)",
  "`x`",
  ";",
  "*",
  "CON",
  "x".repeat(300),
  " ",
  "-",
  "--force",
  "__proto__",
]);
const name = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 5 })
      .map((pieces) => pieces.join("")),
  },
  fc.string({ maxLength: 20 }),
);
const NAMES = [...new Set(fc.sample(name, { numRuns: 2_000, seed: SEED }))].slice(0, 500);

const within = (folder: string, path: string): boolean =>
  resolve(path) === path && path.startsWith(folder + sep);

it("no name of a pipeline, a run or a request leaves its folder", async () => {
  const root = tempRoot();
  const store = new RunStore(root.runs);
  const files = loader({});
  const bad: string[] = [];
  for (const one of NAMES) {
    const run = `${one}@20261123T020000Z`;
    const paths = [
      () => store.pipelineDir(one),
      () => store.pipelineLedger(one),
      () => store.runLedger(one),
      () => store.runLog(run),
      () => store.runDir(run),
    ];
    for (const path of paths) {
      let made: string;
      try {
        made = path();
      } catch (error) {
        if (!(error instanceof RangeError)) bad.push(`${JSON.stringify(one)}: ${String(error)}`);
        continue;
      }
      if (!within(root.runs, made) || made.startsWith(store.requests))
        bad.push(`${JSON.stringify(one)} leads to ${made}`);
    }
    for (const request of [
      { type: "pause", pipeline: one },
      { type: "stop", run: one, mode: "force" },
      { type: "rerun", run },
    ]) {
      const parsed = parseRequest(request);
      if (parsed.ok && /[^a-zA-Z0-9@._-]|\.\./.test(one))
        bad.push(`a request with ${JSON.stringify(one)} is taken`);
    }
    if (isRequestId(one) && !within(store.requests, join(store.requests, `${one}.json`)))
      bad.push(`request ${JSON.stringify(one)}`);
    writeFileSync(
      join(files.schedules, "n.yaml"),
      `name: ${JSON.stringify(one)}\nsteps: { a: { run: "true" } }\n`,
    );
    const loaded = await files.load("n.yaml");
    if (loaded.ok && !within(root.runs, store.pipelineDir(loaded.loaded.name)))
      bad.push(`a file may be named ${JSON.stringify(one)}`);
  }
  reached(
    31,
    "hostile names in paths, requests and files",
    NAMES.length - bad.length,
    NAMES.length,
  );
  expect(bad.slice(0, 5)).toEqual([]);
});

it("no name on the command line makes a file", { timeout: 600_000 }, async () => {
  const root = tempRoot();
  const names = NAMES.filter(
    (one) => !one.includes("\0") && /[./\\]/.test(one) && !one.startsWith("-"),
  ).slice(0, trials(8, 150));
  const bad: string[] = [];
  for (const [index, one] of names.entries()) {
    const words = [
      ["run", one],
      ["stop", `${one}@20261123T020000Z`],
      ["pause", one],
      ["logs", one],
    ][index % 4]!;
    const { status, stderr } = await orchd(root.root, ...words);
    if (status !== 2 && status !== 3) bad.push(`${JSON.stringify(words)}: ${status} ${stderr}`);
    if (/\n {4}at /.test(stderr)) bad.push(stderr);
  }
  const made = readdirSync(root.root, { recursive: true, encoding: "utf8" }).filter(
    (path) => !["schedules", "runs"].includes(path) && !path.startsWith("runs/.orchd"),
  );
  reached(31, "hostile names on the command line", names.length - bad.length, names.length);
  expect({ bad: bad.slice(0, 3), made }).toEqual({ bad: [], made: [] });
});

const REQUESTS: readonly RequestInput[] = [
  {
    type: "submit",
    pipeline: "p",
    params: { n: 1, deep: { a: [1, "two", null] } },
    noCache: true,
    by: "cli:root",
  },
  { type: "stop", run: "p@20261123T020000Z", mode: "graceful" },
  { type: "rerun", run: "p@20261123T020000Z", failed: true },
  {
    type: "backfill",
    pipeline: "p",
    from: "2026-11-23T00:00:00Z",
    to: "2026-11-24T00:00:00Z",
    which: "missing",
    maxActive: 2,
  },
];

it(
  "every mutant of a request is answered with a request or a sentence",
  { timeout: 600_000 },
  () => {
    const { runs } = tempRoot();
    const folder = new RunStore(runs).requests;
    mkdirSync(folder, { recursive: true });
    const piece = fc.oneof(
      fc.string({ maxLength: 4 }),
      fc.constantFrom(
        "{",
        "}",
        "[",
        '"',
        ",",
        ":",
        "null",
        "1e999",
        "\0",
        '"__proto__":{"x":1},',
        "../",
        "-1",
        "[".repeat(500),
      ),
    );
    const mutation = fc.tuple(fc.nat({ max: 160 }), fc.nat({ max: 8 }), piece);
    const mutants = fc.sample(
      fc.tuple(fc.constantFrom(...REQUESTS), fc.array(mutation, { minLength: 1, maxLength: 4 })),
      trials(300, 10_000),
    );
    const bad: string[] = [];
    for (const [good, mutations] of mutants) {
      const text = mutations.reduce(
        (one, [at, cut, put]) => one.slice(0, at) + put + one.slice(at + cut),
        JSON.stringify(good),
      );
      writeFileSync(join(folder, "m.json"), text);
      try {
        const [id] = requestIds(folder);
        const read = id === undefined ? undefined : readRequest(folder, id, parseRequest);
        if (read === undefined || (!read.ok && read.reason === "")) bad.push(text);
      } catch (error) {
        bad.push(`${String(error)}: ${text}`);
      }
    }
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
    reached(35, "mutants of a request answered", mutants.length - bad.length, mutants.length);
    expect(bad.slice(0, 3)).toEqual([]);
  },
);
