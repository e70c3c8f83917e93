/**
 * Measures every claim of speed: `npm run bench`, or by name `npm run bench -- fold shell`.
 *
 * Each bench measures orchd and, in the same run, the raw primitive under it or a peer. The ratio
 * holds from machine to machine. `--json` prints the samples. `--check` exits with 1 if a goal is
 * missed. A number (or BENCH_RUNS) sets how many runs `status`, `restart`, `history` and `soak`
 * use. `soak` takes an hour and runs only if it is named.
 */
import { cpus } from "node:os";
import type { Bench, Row } from "./row.ts";
import { reached, tableOf } from "./row.ts";

const BENCHES: Record<string, () => Promise<Bench>> = {
  "ledger-append": () => import("./ledger-append.ts"),
  fold: () => import("./fold.ts"),
  steps: () => import("./steps.ts"),
  shell: () => import("./shell.ts"),
  fire: () => import("./fire.ts"),
  status: () => import("./status.ts"),
  restart: () => import("./restart.ts"),
  history: () => import("./long-history.ts"),
  idle: () => import("./idle.ts"),
  cache: () => import("./cache.ts"),
  peers: () => import("./peers.ts"),
  "peers-fire": () => import("./peers-fire.ts"),
  soak: () => import("./soak.ts"),
};

const words = process.argv.slice(2);
const flags = new Set(words.filter((word) => word.startsWith("--")));
const runs = words.find((word) => /^\d+$/.test(word));
if (runs !== undefined) process.env["BENCH_RUNS"] = runs;
const named = words.filter((word) => !word.startsWith("--") && word !== runs);
const unknown = named.filter((name) => !(name in BENCHES));
if (unknown.length > 0) {
  process.stderr.write(
    `There is no bench ${unknown.join(", ")}; there are ${Object.keys(BENCHES).join(", ")}.\n`,
  );
  process.exit(2);
}

const all: Record<string, Row[]> = {};
let missed = 0;
if (!flags.has("--json"))
  process.stdout.write(
    `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "?"}, ` +
      `${new Date().toISOString()}\n`,
  );
for (const name of named.length > 0
  ? named
  : Object.keys(BENCHES).filter((each) => each !== "soak")) {
  const rows = await (await BENCHES[name]!()).run();
  all[name] = rows;
  missed += rows.filter((row) => reached(row) === false).length;
  if (!flags.has("--json")) process.stdout.write(`\n## ${name}\n\n${tableOf(rows)}\n`);
}
if (flags.has("--json")) process.stdout.write(`${JSON.stringify(all)}\n`);
process.exitCode = flags.has("--check") && missed > 0 ? 1 : 0;
