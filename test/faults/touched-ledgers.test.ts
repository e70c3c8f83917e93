/**
 * Promise 41: somebody removes, replaces or changes ledgers under a living daemon. It notices it
 * within 5 s and says so, in the log, in the pipeline's ledger and in `orchd status`. It goes on in
 * a whole file. No slot is lost or doubled because of it.
 */
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitLines, awaitSight, linesOf, type Line } from "../support/await-event.ts";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { fullFigures, reached } from "../support/figures.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { runsOf, undecidedSeconds } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const TICK = `schedule: { cron: "* * * * * *", catchUp: all }
overlap: allow
enableCache: false
steps: { note: { run: "true" } }
`;
const REST = `schedule: { cron: "0 0 1 1 *" }
steps: { note: { run: "true" } }
`;
/** Within so many milliseconds it is noticed and told. */
const NOTICED_MS = 5_000;

interface Place {
  readonly folder: string;
  readonly ledger: string;
  /** A copy of the folder as it was a while ago. */
  readonly backup: string;
}

/** What somebody does, and whether the ledger's own lines are lost by it. */
interface Kind {
  readonly act: (place: Place) => void;
  readonly loses?: true;
  /** What was in the ledger's place is kept as evidence. */
  readonly keeps?: true;
}

const KINDS: Record<string, Kind> = {
  "its folder is removed": {
    act: ({ folder }) => rmSync(folder, { recursive: true, maxRetries: 10 }),
  },
  "its ledger is removed": { act: ({ ledger }) => rmSync(ledger) },
  "its ledger is moved away": { act: ({ ledger }) => renameSync(ledger, `${ledger}.away`) },
  "its folder is moved away": { act: ({ folder, backup }) => renameSync(folder, `${backup}-away`) },
  "a backup takes its ledger's place": {
    act: ({ ledger, backup }) => {
      copyFileSync(join(backup, "pipeline.jsonl"), `${ledger}.new`);
      renameSync(`${ledger}.new`, ledger);
    },
    keeps: true,
  },
  "a backup takes its folder's place": {
    act: ({ folder, backup }) => {
      renameSync(folder, `${backup}-away`);
      cpSync(backup, folder, { recursive: true });
    },
    keeps: true,
  },
  "a backup is written over its ledger": {
    act: ({ ledger, backup }) => copyFileSync(join(backup, "pipeline.jsonl"), ledger),
    loses: true,
    keeps: true,
  },
  "its ledger is cut": {
    act: ({ ledger }) => truncateSync(ledger, Math.floor(statSync(ledger).size / 2)),
    loses: true,
    keeps: true,
  },
  "its ledger is emptied": {
    act: ({ ledger }) => truncateSync(ledger, 0),
    loses: true,
    keeps: true,
  },
  "a line is appended to its ledger": {
    act: ({ ledger }) => appendFileSync(ledger, '{"seq":1,"type":"note"}\n'),
  },
  "its ledger's last line is another one": {
    act: ({ ledger }) => {
      const text = readFileSync(ledger, "latin1");
      writeFileSync(ledger, `${text.slice(0, -30)}${" ".repeat(29)}\n`, "latin1");
    },
    loses: true,
    keeps: true,
  },
};

function placeOf(root: TempRoot, name: string): Place {
  const folder = join(root.runs, name);
  return {
    folder,
    ledger: join(folder, "pipeline.jsonl"),
    backup: join(root.root, "backup", name),
  };
}

function disturbed(path: string): Promise<Line> {
  return awaitSight(
    join(path, ".."),
    () => readable(path).find(({ type }) => type === "ledger.disturbed"),
    `a ledger.disturbed line of ${path}`,
    NOTICED_MS,
  );
}

async function faults(root: TempRoot): Promise<{ file: string; fault: string }[]> {
  const answer = await orchd(root.root, "verify", "--json");
  return answer.json<{ faults: { file: string; fault: string }[] }>().faults;
}

/** All decisions of a pipeline's slots, from evidence too: what was lost is told there. */
function decisionsOf({ folder }: Place): Line[] {
  return readdirSync(folder)
    .filter((name) => name.startsWith("pipeline.jsonl"))
    .flatMap((name) => readable(join(folder, name)));
}

/** The lines of a file up to the first that is no JSON; none if there is no file. */
function readable(path: string): Line[] {
  const lines: Line[] = [];
  if (!existsSync(path)) return lines;
  for (const text of readFileSync(path, "latin1").split("\n").slice(0, -1)) {
    try {
      lines.push(JSON.parse(text) as Line);
    } catch {
      break;
    }
  }
  return lines;
}

function slotsOf(lines: readonly Line[]): string[] {
  return lines.flatMap(({ type, slot }) =>
    ["slot.fired", "slot.caught_up", "slot.missed", "slot.skipped"].includes(type)
      ? [String(slot)]
      : [],
  );
}

describe("a pipeline's ledgers are touched under the daemon", () => {
  const kinds = Object.entries(KINDS).map(([what, kind], index) => ({
    what,
    ...kind,
    rest: `rest${index}`,
    // In short form some only: each is due every second.
    busy: index % 3 === 0 || fullFigures ? `busy${index}` : undefined,
  }));
  const busyKinds = kinds.flatMap((kind) =>
    kind.busy === undefined ? [] : [{ ...kind, busy: kind.busy }],
  );

  async function rootWithBackup(): Promise<{ root: TempRoot; daemon: Daemon }> {
    const root = tempRoot({ "schedules/calm.yaml": TICK });
    for (const { rest } of kinds) root.write(`schedules/${rest}.yaml`, REST);
    for (const { busy } of busyKinds) root.write(`schedules/${busy}.yaml`, TICK);
    const daemon = await startDaemon({ root: root.root });
    const all = ["calm", ...busyKinds.map(({ busy }) => busy)].map((name) => placeOf(root, name));
    const ended = (count: number): Promise<unknown> =>
      Promise.all(
        all.map(({ ledger }) => awaitLines(ledger, count, ({ type }) => type === "run.finished")),
      );
    await ended(2);
    cpSync(root.runs, join(root.root, "backup"), { recursive: true });
    // So that the backups differ from what there is.
    await Promise.all(kinds.map(({ rest }) => orchd(root.root, "pause", rest)));
    await ended(5);
    return { root, daemon };
  }

  it(
    `${kinds.length} kinds: noticed within 5 s, told, and gone on with; no slot lost or doubled`,
    { timeout: 120_000 },
    async () => {
      const { root, daemon } = await rootWithBackup();
      for (const { act, rest } of kinds) act(placeOf(root, rest));
      for (const { act, busy } of busyKinds) act(placeOf(root, busy));
      const touched = [...kinds.map(({ rest }) => rest), ...busyKinds.map(({ busy }) => busy)];
      const told = await Promise.all(touched.map((name) => disturbed(placeOf(root, name).ledger)));
      await Promise.all(
        busyKinds.map(({ busy }, index) =>
          awaitLine(
            placeOf(root, busy).ledger,
            ({ type, at }) => type === "run.finished" && at > told[kinds.length + index]!.at,
          ),
        ),
      );
      const text = (await orchd(root.root, "status")).stdout;
      for (const { what, rest } of kinds)
        expect(text, what).toMatch(new RegExp(`! ${rest}: .*ledger`));
      const log = daemon.log().filter(({ msg }) => String(msg).includes("were touched"));
      expect(log.length).toBeGreaterThanOrEqual(touched.length);
      for (const { what, busy, keeps = false, loses = false } of busyKinds) {
        const place = placeOf(root, busy);
        const lines = readWholeLedger(place.ledger);
        if (!loses) expect(undecidedSeconds(lines), what).toEqual([]);
        const slots = slotsOf(loses ? decisionsOf(place) : lines);
        expect(slots.length, what).toBe(new Set(slots).size);
        const kept = readdirSync(place.folder).some((file) => file.includes(".damaged-"));
        expect(kept, what).toBe(keeps);
      }
      // Runs that went with their folder are missing, and nothing else is wrong.
      const gone = busyKinds.filter(({ what }) => what.includes("folder")).map(({ busy }) => busy);
      const found = await faults(root);
      for (const { fault } of found)
        expect(fault).toMatch(/^it is missing: pipeline.jsonl tells of this run at line/);
      const named = new Set(
        found.map(({ file }) => file.slice(root.runs.length + 1).split("/")[0]),
      );
      expect(named).toEqual(new Set(gone));
      await daemon.end();
      reached(41, "touched ledgers noticed within 5 s and told", told.length, touched.length);
    },
  );
});

describe("a run's ledger is touched while it runs", () => {
  const HOLD = `overlap: allow
steps:
  first: { run: "true" }
  wait: { run: "until test -e ../go; do sleep 0.05; done", after: [first] }
`;

  async function holding(): Promise<{ root: TempRoot; daemon: Daemon; run: string; path: string }> {
    const root = tempRoot({ "schedules/hold.yaml": HOLD });
    const daemon = await startDaemon({ root: root.root });
    const run = (await orchd(root.root, "run", "hold", "--json")).json<{ run: string }>().run;
    const path = runsOf(root.runs, "hold")[0]!.path;
    await awaitLine(path, ({ type, step }) => type === "step.started" && step === "wait");
    return { root, daemon, run, path };
  }

  it.each([
    ["its ledger is removed", (path: string) => rmSync(path)],
    [
      "its month's folder is removed",
      (path: string) => rmSync(join(path, ".."), { recursive: true }),
    ],
    [
      "another file takes its place",
      (path: string) => {
        writeFileSync(`${path}.new`, "");
        renameSync(`${path}.new`, path);
      },
    ],
  ])(
    "%s: it is written again, whole, and the run ends well",
    { timeout: 60_000 },
    async (_, act) => {
      const { root, daemon, run, path } = await holding();
      act(path);
      const line = await disturbed(join(root.runs, "hold/pipeline.jsonl"));
      if (line["run"] !== undefined) expect(line["run"]).toBe(run);
      await awaitSight(root.runs, () => existsSync(path) || undefined, path, NOTICED_MS);
      writeFileSync(join(root.root, "go"), "");
      await awaitLine(path, ({ type }) => type === "run.finished");
      expect(readWholeLedger(path).map(({ type }) => type)).toContain("run.submitted");
      expect((await faults(root)).filter(({ fault }) => !fault.includes("its name"))).toEqual([]);
      await daemon.end();
      reached(41, "run's ledgers that were removed or replaced and are whole", 1, 1);
    },
  );

  it(
    "fails the run, with the reason, where it is cut, and the daemon goes on",
    { timeout: 60_000 },
    async () => {
      const { root, daemon, run, path } = await holding();
      truncateSync(path, readFileSync(path, "latin1").indexOf("\n") + 1);
      const end = await awaitLine(
        join(root.runs, "hold/pipeline.jsonl"),
        ({ type }) => type === "run.finished",
        NOTICED_MS + 2_000,
      );
      expect(end).toMatchObject({ run, status: "failed" });
      expect(end["because"]).toContain("Another program changed the ledger");
      writeFileSync(join(root.root, "go"), "");
      expect((await orchd(root.root, "run", "hold", "--json")).status).toBe(0);
      await daemon.end();
    },
  );
});

it(
  "the runs folder itself is removed: the daemon ends and says so, and the next one goes on",
  { timeout: 60_000 },
  async () => {
    const root = tempRoot({ "schedules/tick.yaml": TICK });
    const ledger = join(root.runs, "tick/pipeline.jsonl");
    const daemon = await startDaemon({ root: root.root });
    await awaitLines(ledger, 2, ({ type }) => type === "run.finished");
    rmSync(root.runs, { recursive: true });
    const { status } = await daemon.ended;
    expect(status).toBe(1);
    expect(daemon.stderr()).toContain("the lock is no longer this daemon's");
    mkdirSync(root.runs, { recursive: true });
    const next = await startDaemon({ root: root.root });
    await awaitLines(ledger, 2, ({ type }) => type === "run.finished");
    const slots = slotsOf(linesOf(ledger));
    expect(slots.length).toBe(new Set(slots).size);
    await next.end();
  },
);
