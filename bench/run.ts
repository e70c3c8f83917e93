/**
 * Measures every claim of speed.
 *
 *     npm run bench                       # all but the soak: about an hour
 *     npm run bench -- --short            # all short ones in turn: at most 12 minutes
 *     npm run bench -- fold shell         # by name; --list names them and says what they take
 *     npm run bench -- status 5000        # over a history of 5,000 runs
 *     npm run bench -- --short --keep     # keeps what was measured in bench/results/VERSION.json
 *     npm run bench -- --short --json     # the same, and prints JSON in place of tables
 *     npm run bench -- steps --against last     # what got worse; also a FILE
 *
 * Each bench measures orchd and, in the same run, the raw primitive under it or a peer. The ratio
 * holds from machine to machine. The tables have the shape of those in docs/performance.md.
 * `--check` exits with 1 if a goal is missed or something got worse.
 */
import { spawnSync } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { VERSION } from "../src/version.ts";
import { parseArguments, type Arguments, type Offer } from "./arguments.ts";
import { keep, keptRow, lastKept, readKept, type Kept, type KeptBench } from "./kept.ts";
import { median, reached, timed, type Bench, type Row } from "./row.ts";
import { markdown, tableOf } from "./table.ts";
import { changes, changesText } from "./worse.ts";

// Node 20 reads these certificates as each process starts, which takes two thirds of its time: what
// is beside it would look small.
delete process.env["NODE_EXTRA_CA_CERTS"];

interface Known extends Offer {
  readonly load: () => Promise<Bench>;
}

const BENCHES: Readonly<Record<string, Known>> = {
  "ledger-append": {
    load: () => import("./ledger-append.ts"),
    takes: "5 s",
    unnamed: "always",
  },
  fold: { load: () => import("./fold.ts"), takes: "20 s", unnamed: "always" },
  steps: { load: () => import("./steps.ts"), takes: "2 min; short 1 min", unnamed: "always" },
  shell: { load: () => import("./shell.ts"), takes: "1 min; short 30 s", unnamed: "always" },
  places: { load: () => import("./places.ts"), takes: "5 min; short 1 min", unnamed: "always" },
  farm: { load: () => import("./farm.ts"), takes: "1 min; short 20 s", unnamed: "always" },
  ssh: { load: () => import("./ssh.ts"), takes: "2 min; short 1 min", unnamed: "always" },
  stdio: { load: () => import("./stdio.ts"), takes: "20 s", unnamed: "always" },
  fire: { load: () => import("./fire.ts"), takes: "6 min; short 3 min", unnamed: "always" },
  firing: { load: () => import("./firing.ts"), takes: "7 min; short 2 min", unnamed: "always" },
  status: { load: () => import("./status.ts"), takes: "2 min; short 30 s", unnamed: "always" },
  restart: { load: () => import("./restart.ts"), takes: "10 min; short 1 min", unnamed: "always" },
  history: {
    load: () => import("./long-history.ts"),
    takes: "15 min; short 1 min",
    unnamed: "always",
  },
  views: { load: () => import("./views.ts"), takes: "1 min; short 20 s", unnamed: "always" },
  feed: { load: () => import("./feed.ts"), takes: "90 s; short 1 min", unnamed: "always" },
  idle: { load: () => import("./idle.ts"), takes: "1 min", unnamed: "always" },
  cache: { load: () => import("./cache.ts"), takes: "1 min; short 30 s", unnamed: "always" },
  page: { load: () => import("./page.ts"), takes: "6 min; short 2 min", unnamed: "always" },
  peers: { load: () => import("./peers.ts"), takes: "1 min", unnamed: "always" },
  "peers-fire": { load: () => import("./peers-fire.ts"), takes: "6 min", unnamed: "long" },
  soak: { load: () => import("./soak.ts"), takes: "1 h", unnamed: "never" },
};

/** Says how fast the machine is, and how busy. */
async function machine(): Promise<KeptBench["machine"]> {
  const start = await timed(5, 1, () => spawnSync(process.execPath, ["-e", "0"]));
  return {
    cores: cpus().length,
    model: cpus()[0]?.model ?? "?",
    startMs: Math.round(median(start)),
  };
}

/** What was measured, and how many benches failed and goals were missed. */
interface Outcome {
  readonly now: Kept;
  readonly failed: number;
  readonly missed: number;
}

async function measure(asked: Arguments): Promise<Outcome> {
  const on = await machine();
  const say = (text: string): void => void (asked.json || process.stdout.write(text));
  say(
    `orchd ${VERSION}, ${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ` +
      `${on.cores} x ${on.model}, \`node -e 0\` in ${on.startMs} ms, ` +
      `${loadavg()[0]!.toFixed(1)} processes at work before it began\n`,
  );
  const benches: Record<string, KeptBench> = {};
  let [failed, missed] = [0, 0];
  for (const name of asked.benches) {
    const notes: string[] = [];
    const at = new Date().toISOString();
    const note = (line: string): void => void notes.push(line);
    let rows: Row[] = [];
    try {
      const bench = await BENCHES[name]!.load();
      rows = await bench.run({ short: asked.short, runs: asked.runs, note });
    } catch (error) {
      // The others are measured all the same.
      failed += 1;
      note(`${name} failed.`);
      process.stderr.write(`${name}: ${(error as Error).stack ?? String(error)}\n`);
    }
    say(`\n### ${name}\n\n`);
    if (rows.length > 0) say(`${tableOf(rows)}\n`);
    for (const line of notes) say(`\n${line}\n`);
    if (rows.length === 0) continue;
    missed += rows.filter((row) => reached(row) === false).length;
    const { node, short } = { node: process.version, short: asked.short };
    benches[name] = { at, node, machine: on, short, rows: rows.map(keptRow) };
  }
  return { now: { format: 1, version: VERSION, benches }, failed, missed };
}

/** The arguments; undefined once it has been said what is wrong with them. */
function argumentsGiven(): Arguments | undefined {
  try {
    return parseArguments(process.argv.slice(2), BENCHES);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return undefined;
  }
}

async function main(): Promise<number> {
  const asked = argumentsGiven();
  if (asked === undefined) return 2;
  if (asked.list) {
    const lines = Object.entries(BENCHES).map(([name, { takes }]) => [name, takes]);
    process.stdout.write(`${markdown([["bench", "takes"], ...lines])}\n`);
    return 0;
  }
  // Read first: what is measured now may be kept in the same file.
  const path = asked.against === "last" ? lastKept() : asked.against;
  if (asked.against !== undefined && path === undefined)
    process.stderr.write("No results are kept yet: there is nothing to compare with.\n");
  const before = path === undefined ? undefined : readKept(path);
  const { now, failed, missed } = await measure(asked);
  if (asked.json) process.stdout.write(`${JSON.stringify(now)}\n`);
  if (asked.keep) process.stderr.write(`Kept in ${keep(now)}\n`);
  const all = before === undefined ? [] : changes(before, now);
  if (before !== undefined) {
    const text = `\n### Against ${before.version}\n\n${changesText(all)}\n`;
    (asked.json ? process.stderr : process.stdout).write(text);
  }
  const worse = all.filter(({ verdict }) => verdict === "worse").length;
  return failed > 0 || (asked.check && missed + worse > 0) ? 1 : 0;
}

process.exitCode = await main();
