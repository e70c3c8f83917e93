/**
 * Promise 40: a bad path sets its own pipeline aside, with a sentence, and the pipeline comes back
 * by itself within seconds once the path is mended. The others fire.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitLines, linesOf, type Line } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { fullFigures, hasProgram, reached } from "../support/figures.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { undecidedSeconds } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const TICK = `schedule: { cron: "* * * * * *" }
overlap: allow
enableCache: false
steps: { note: { run: "true" } }
`;
/** The daemon's user: root may do anything, so it is another one where this is root. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const asNobody = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
/** Within so many milliseconds of the mending a pipeline fires again. */
const BACK_MS = 10_000;

/** Puts another thing in the place of a path; what was there is put aside. */
function instead(make: (path: string) => void): (path: string) => void {
  return (path) => {
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) renameSync(path, asideOf(path));
    make(path);
  };
}

/** Where a path's own file waits: beside the root, so that nobody takes it for a pipeline's. */
function asideOf(path: string): string {
  const [root = "", below = ""] = path.split("/runs/");
  return join(root, `aside-${below.replaceAll("/", "-")}`);
}

/** Puts back what was there. */
function mend(path: string): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  const aside = lstatSync(asideOf(path), { throwIfNoEntry: false });
  if (aside !== undefined || there?.isSymbolicLink() === true || there?.isFIFO() === true) {
    rmSync(path, { recursive: true, force: true });
    if (aside !== undefined) renameSync(asideOf(path), path);
    return;
  }
  chmodSync(path, there?.isDirectory() === true ? 0o750 : 0o640);
}

const FILE = (path: string): void => writeFileSync(path, "");
const FOLDER = (path: string): void => mkdirSync(path);
const LOOP = (path: string): void => symlinkSync(path, path);
const NOTHING = (path: string): void => symlinkSync("nothing", path);
const PIPE = (path: string): void => void execFileSync("mkfifo", [path]);
const CLOSED = (path: string): void => chmodSync(path, 0);

interface Kind {
  readonly what: string;
  /** Below the pipeline's folder. */
  readonly where: "" | "pipeline.jsonl" | "MONTH";
  readonly block: (path: string) => void;
}

const KINDS: readonly Kind[] = [
  { what: "its folder is closed to the daemon", where: "", block: CLOSED },
  { what: "its folder is a file", where: "", block: instead(FILE) },
  { what: "its folder is a link to nothing", where: "", block: instead(NOTHING) },
  { what: "its folder is a link to itself", where: "", block: instead(LOOP) },
  { what: "its ledger is closed to the daemon", where: "pipeline.jsonl", block: CLOSED },
  { what: "its ledger is a folder", where: "pipeline.jsonl", block: instead(FOLDER) },
  { what: "its ledger is a link to nothing", where: "pipeline.jsonl", block: instead(NOTHING) },
  { what: "its ledger is a link to itself", where: "pipeline.jsonl", block: instead(LOOP) },
  { what: "its ledger is a pipe", where: "pipeline.jsonl", block: instead(PIPE) },
  { what: "its month's folder is closed to the daemon", where: "MONTH", block: CLOSED },
  { what: "its month's folder is a file", where: "MONTH", block: instead(FILE) },
  { what: "its month's folder is a link to nothing", where: "MONTH", block: instead(NOTHING) },
  { what: "its month's folder is a link to itself", where: "MONTH", block: instead(LOOP) },
];

/** Kinds that an open file does not feel: it is written on, and its lines are durable. */
const isFelt = ({ where, block }: Kind): boolean => where === "MONTH" || block !== CLOSED;

const chosen = KINDS.map((kind, index) => ({ ...kind, name: `k${index}` })).filter(
  (_, index) => fullFigures || index % 2 === 1,
);

function ledgerOf(root: TempRoot, name: string): string {
  return join(root.runs, name, "pipeline.jsonl");
}

function pathOf(root: TempRoot, { name, where }: Kind & { readonly name: string }): string {
  return join(root.runs, name, where === "MONTH" ? new Date().toISOString().slice(0, 7) : where);
}

function give(path: string): void {
  if (isRoot) execFileSync("chown", ["-hR", `${NOBODY}:${NOBODY}`, path]);
}

function start(root: TempRoot): Promise<Daemon> {
  give(root.root);
  return startDaemon({
    root: root.root,
    ...(isRoot ? { through: ["setpriv", ...asNobody] } : {}),
    env: { HOME: root.root },
  });
}

function rootWith(names: readonly string[]): TempRoot {
  const files = Object.fromEntries(names.map((name) => [`schedules/${name}.yaml`, TICK]));
  const root = tempRoot(files);
  if (isRoot) chmodSync(join(root.root, ".."), 0o711);
  return root;
}

const fired = ({ type }: Line): boolean => type === "slot.fired" || type === "slot.caught_up";

/** Waits until each fires again, and says how many did. */
async function backAgain(root: TempRoot, names: readonly string[]): Promise<number> {
  const since = new Date().toISOString();
  const back = names.map((name) =>
    awaitLine(ledgerOf(root, name), (line) => fired(line) && line.at > since, BACK_MS),
  );
  return (await Promise.all(back)).length;
}

async function statusOf(root: TempRoot): Promise<string> {
  return (await orchd(root.root, "status")).stdout;
}

function check(root: TempRoot, names: readonly string[]): void {
  for (const name of names)
    expect(undecidedSeconds(readWholeLedger(ledgerOf(root, name))), name).toEqual([]);
  // Nobody else noticed. Between two daemons all slots are missed.
  const lost = linesOf(ledgerOf(root, "calm")).filter(
    ({ type, because }) => type === "slot.missed" && !String(because).startsWith("no daemon"),
  );
  expect(lost).toEqual([]);
}

describe.skipIf(isRoot && !hasProgram("setpriv"))("a bad path of one pipeline", () => {
  const names = chosen.map(({ name }) => name);

  it(`${chosen.length} kinds, there when the daemon starts`, { timeout: 120_000 }, async () => {
    const root = rootWith([...names, "calm"]);
    const before = await start(root);
    await Promise.all([...names, "calm"].map((name) => awaitLine(ledgerOf(root, name), fired)));
    await before.end();
    for (const kind of chosen) kind.block(pathOf(root, kind));
    const daemon = await start(root);
    const calm = ledgerOf(root, "calm");
    const there = linesOf(calm).filter(fired).length;
    await awaitLines(calm, there + 4, fired);
    const text = await statusOf(root);
    for (const { name, what } of chosen) {
      expect(text, what).toMatch(new RegExp(`^${name} +set aside`, "m"));
      expect(text, what).toMatch(new RegExp(`${name}: set aside since .*cannot be`));
    }
    const told = daemon.log().filter(({ msg }) => String(msg).includes("is set aside: "));
    expect(new Set(told.map(({ pipeline }) => pipeline)).size).toBe(chosen.length);
    for (const kind of chosen) mend(pathOf(root, kind));
    give(root.root);
    const good = await backAgain(root, names);
    check(root, names);
    for (const { name, where, what } of chosen) {
      const reasons = linesOf(ledgerOf(root, name))
        .filter(({ type }) => type === "slot.missed")
        .map(({ because }) => String(because));
      expect(reasons.length, what).toBeGreaterThan(0);
      const said = where === "MONTH" ? /its run could not be made/ : /set aside since/;
      expect(
        reasons.some((because) => said.test(because)),
        `${what}: ${reasons[0]}`,
      ).toBe(true);
    }
    expect(await statusOf(root)).not.toContain("set aside");
    await daemon.end();
    reached(
      40,
      "bad paths at the start; set aside, back by itself, others fired",
      good,
      names.length,
    );
  });

  it(`${chosen.length} kinds, under the living daemon`, { timeout: 120_000 }, async () => {
    const root = rootWith([...names, "calm"]);
    const daemon = await start(root);
    const calm = ledgerOf(root, "calm");
    await Promise.all([...names, "calm"].map((name) => awaitLine(ledgerOf(root, name), fired)));
    for (const kind of chosen) kind.block(pathOf(root, kind));
    const there = linesOf(calm).filter(fired).length;
    await awaitLines(calm, there + 4, fired);
    const text = await statusOf(root);
    for (const kind of chosen)
      if (isFelt(kind))
        expect(text, kind.what).toMatch(new RegExp(`^${kind.name} +set aside`, "m"));
    for (const kind of chosen) mend(pathOf(root, kind));
    give(root.root);
    const good = await backAgain(root, names);
    check(root, names);
    await daemon.end();
    reached(
      40,
      "bad paths under a living daemon; back by itself, others fired",
      good,
      names.length,
    );
  });

  it(
    "an unfinished run's ledger cannot be opened: the run goes on when it can",
    { timeout: 60_000 },
    async () => {
      const root = rootWith(["calm"]);
      root.write(
        "schedules/hold.yaml",
        `onInterruption: rerun
steps: { wait: { run: "until test -e ../go; do sleep 0.05; done" } }
`,
      );
      const first = await start(root);
      const { run } = (await orchd(root.root, "run", "hold", "--json")).json<{ run: string }>();
      const month = join(
        root.runs,
        "hold",
        readdirSync(join(root.runs, "hold")).find((name) => name.startsWith("2"))!,
      );
      const path = join(month, `${run}.jsonl`);
      await awaitLine(path, ({ type }) => type === "step.started");
      await first.kill();
      chmodSync(path, 0);
      const second = await start(root);
      expect(await statusOf(root)).toMatch(/hold: set aside since .*cannot go on/);
      await awaitLines(ledgerOf(root, "calm"), 3, fired);
      chmodSync(path, 0o640);
      give(root.root);
      writeFileSync(join(root.root, "go"), "");
      await awaitLine(path, ({ type }) => type === "run.finished", BACK_MS);
      await second.end();
      reached(40, "unfinished runs that went on once their ledger could be opened", 1, 1);
    },
  );
});

/** Another user's folder: only root can make one, and only root may pass by its rights. */
describe.skipIf(!isRoot || !hasProgram("setpriv"))("a run in the foreground by root", () => {
  it(
    "is refused over another user's runs folder, and leaves nothing there",
    { timeout: 60_000 },
    async () => {
      const root = rootWith(["calm"]);
      const first = await start(root);
      await first.end();
      root.write("schedules/new.yaml", "steps: { one: { run: 'true' } }\n");
      const { status, stderr } = await orchd(root.root, "run", "new", "--foreground");
      expect(status).not.toBe(0);
      expect(stderr).toMatch(/runs belongs to user 65534, and this is user 0: .*sudo -u/s);
      const foreign = execFileSync("find", [root.runs, "-user", "root"]).toString();
      expect(foreign).toBe("");
      const own = await orchd(root.root, "run", "new", "--foreground", {
        through: ["setpriv", ...asNobody],
      });
      expect(own.stderr + own.stdout).toContain("completed");
      expect(own.status).toBe(0);
    },
  );
});
