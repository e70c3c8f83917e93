/** The damaged ledgers of a root, as an alert tells them: the file, the reason, the time. */
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { DamagedFiles } from "../../src/ledger/damaged-files.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { completedRun, header, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const OTHER = "q@20261123T020000Z";

function rig() {
  const store = new RunStore(tempRoot().runs);
  const write = (path: string): string => {
    const full = join(store.runsDir, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, "x");
    return full;
  };
  return { store, write };
}
const at = (path: string): string => new Date(Math.floor(statSync(path).ctimeMs)).toISOString();
/** Changes its second line, so that the lines after it do not follow from it. */
const spoil = (path: string): void =>
  writeFileSync(path, readFileSync(path, "utf8").replace("the slot is due", "the slot was due"));
const aside = (ledger: string, name: string): string =>
  `${ledger} was damaged, and a new one was begun: look at what is kept as ${name}, ` +
  "and then remove it";
const waits = (run: string, fault: string): string =>
  `run ${run} waits for \`orchd repair ${run}\`: ${fault}`;

it("tells what was put aside in the root's own folder and in each pipeline's", () => {
  const { store, write } = rig();
  const paths = [
    ".orchd/notify.jsonl.damaged-2",
    "p/pipeline.jsonl.damaged-1",
    "p/pipeline.jsonl.damaged-10",
    "q/pipeline.jsonl.damaged-1",
  ];
  const full = paths.map(write);
  // A folder that is no pipeline's, names that only look alike, and the month of a run.
  for (const name of [
    "Bad Name/pipeline.jsonl.damaged-1",
    "p/pipeline.jsonl.damaged-x",
    "p/pipeline.jsonl",
    "p/notes.damaged-1",
    "p/2026-11/x.jsonl.damaged-1",
  ])
    write(name);
  const found = new DamagedFiles(store).now([]).toSorted((a, b) => (a.file < b.file ? -1 : 1));
  expect(found).toEqual([
    {
      file: paths[0],
      pipeline: undefined,
      because: aside("notify.jsonl", "notify.jsonl.damaged-2"),
      at: at(full[0]!),
    },
    ...[1, 2, 3].map((nth) => ({
      file: paths[nth],
      pipeline: paths[nth]!.slice(0, 1),
      because: aside("pipeline.jsonl", paths[nth]!.slice(2)),
      at: at(full[nth]!),
    })),
  ]);
});

it("looks again where a folder has changed: what is removed is told no more", () => {
  const { store, write } = rig();
  const files = new DamagedFiles(store);
  const names = (): string[] => files.now([]).map(({ file }) => file);
  expect(names()).toEqual([]);
  const first = write("p/pipeline.jsonl.damaged-1");
  expect(names()).toEqual(["p/pipeline.jsonl.damaged-1"]);
  expect(names()).toEqual(["p/pipeline.jsonl.damaged-1"]);
  write("p/pipeline.jsonl.damaged-2");
  rmSync(first);
  expect(names()).toEqual(["p/pipeline.jsonl.damaged-2"]);
  rmSync(join(store.runsDir, "p"), { recursive: true });
  expect(names()).toEqual([]);
});

it("passes over a folder that cannot be listed, and tells of the others", () => {
  const { store, write } = rig();
  write("q/pipeline.jsonl.damaged-1");
  const files = new DamagedFiles(store);
  // It is there when the root is listed, and is a file by then.
  store.pipelines = () => ["p", "q"];
  writeFileSync(join(store.runsDir, "p"), "");
  expect(files.now([]).map(({ file }) => file)).toEqual(["q/pipeline.jsonl.damaged-1"]);
});

it("tells of a run that waits for repair until it does so no more, named once", () => {
  const { store } = rig();
  const files = new DamagedFiles(store);
  const path = writeRun(store.runsDir, RUN, completedRun(RUN));
  const whole = writeRun(store.runsDir, OTHER, completedRun(OTHER));
  spoil(path);
  const damaged = {
    file: "p/2026-11/p@20261123T020000Z.jsonl",
    pipeline: "p",
    because: expect.stringMatching(
      new RegExp(`^${waits(RUN, "line 2, damaged: ").replaceAll(/[`]/g, ".")}`),
    ),
    at: at(path),
  };
  expect(files.now([RUN, OTHER])).toEqual([damaged]);
  // It is looked at from then on, though nobody names it; the other is not.
  spoil(whole);
  expect(files.now([])).toEqual([damaged]);
  expect(files.now([OTHER])).toHaveLength(2);
  renameSync(path, `${path}.damaged-1`);
  writeRun(store.runsDir, RUN, completedRun(RUN));
  expect(files.now([]).map(({ pipeline }) => pipeline)).toEqual(["q"]);
  rmSync(whole);
  expect(files.now([])).toEqual([]);
});

it("takes a torn tail of a run that goes on for none: the daemon cuts it", () => {
  const { store } = rig();
  const path = writeRun(store.runsDir, RUN, [header(RUN, { a: [] })]);
  appendFileSync(path, '{"seq":2,');
  expect(new DamagedFiles(store).now([RUN])).toEqual([]);
});
