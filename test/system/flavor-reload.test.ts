/**
 * An orchestrator of orchd.yaml is read again when its files change: a daemon over real files, of
 * which some lie outside the drop folder.
 */
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitSight } from "../support/await-event.ts";
import { daemonOver, orchd, startDaemon } from "../support/daemon.ts";
import type { PlainLine } from "../support/independent-ledger.ts";
import { outcomeOf, pipelineLedger, runsOf, type PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

/** Promise 20. */
const NOTICED_MS = 15_000;

const flavor = (version: string, more = ""): string => `import { BaseOrchestrator } from "orchd";
${more}
export default class Remote extends BaseOrchestrator {
  static flavor = "remote";
  get environment() { return { VERSION: String(${version}) }; }
  get capabilities() { return { isSchedulable: true, resubmits: true }; }
  getOrchestratorRunId() { return "remote-" + process.env.ORCHD_RUN_ID; }
  async submitPipeline({ snapshot }) {
    console.log("submitted by " + ${version});
    await Promise.all(snapshot.steps.map((step) => this.runStep(step)));
  }
}
`;
const STEPS = `steps: { a: { run: 'echo "$VERSION" > "$ORCHD_OUTPUT"' } }\n`;
const FILES = {
  "orchd.yaml": "orchestrators: { remote: ./flavors/remote.mjs, other: ./flavors/other.mjs }\n",
  "flavors/remote.mjs": flavor("1"),
  "flavors/shared.mjs": "export const shared = 10;\n",
  "flavors/other.mjs": flavor("shared", 'import { shared } from "./shared.mjs";'),
  "schedules/p.yaml": `orchestrator: remote\n${STEPS}`,
  "schedules/q.yaml": `orchestrator: other\n${STEPS}`,
};

const linesOf = (root: TempRoot, pipeline: string): PlainLine[] =>
  pipelineLedger(root.runs, pipeline).filter(({ type }) =>
    /^pipeline\.(loaded|invalid)$/.test(type),
  );

/** Waits for one more version of a pipeline, or for its being bad. */
async function next(root: TempRoot, pipeline: string, act: () => void): Promise<PlainLine> {
  const before = linesOf(root, pipeline).length;
  act();
  return awaitSight(
    root.runs,
    () => linesOf(root, pipeline)[before],
    () => `another line of ${pipeline} after ${JSON.stringify(linesOf(root, pipeline).at(-1))}`,
    NOTICED_MS,
  );
}

const versionOf = ({ lines }: PlainRun): unknown =>
  lines.flatMap((line) =>
    line.type === "step.completed" ? [(line["outputs"] as { result: unknown }).result] : [],
  )[0];
const errorOf = (line: PlainLine): string => (line["errors"] as string[]).join("\n");

describe("a daemon", () => {
  it("reads a flavor again that is written, renamed over or linked, and its imports", async () => {
    const { root, daemon } = await daemonOver(FILES);
    const file = join(root.root, "flavors/remote.mjs");
    const run = async (pipeline: string): Promise<unknown> =>
      versionOf(await ended(root.runs, await submit(root.runs, pipeline)));
    expect(await run("p")).toBe(1);

    const written = await next(root, "p", () => writeFileSync(file, flavor("2")));
    expect(written.type).toBe("pipeline.loaded");
    expect(await run("p")).toBe(2);

    await next(root, "p", () => root.write("flavors/remote.mjs", flavor("3")));
    expect(await run("p")).toBe(3);

    root.write("flavors/v4/remote.mjs", flavor("4"));
    await next(root, "p", () => {
      symlinkSync("v4/remote.mjs", `${file}.new`);
      renameSync(`${file}.new`, file);
    });
    expect(await run("p")).toBe(4);
    root.write("flavors/v5/remote.mjs", flavor("5"));
    await next(root, "p", () => {
      symlinkSync("v5/remote.mjs", `${file}.new`);
      renameSync(`${file}.new`, file);
    });
    expect(await run("p")).toBe(5);
    await next(root, "p", () => root.write("flavors/v5/remote.mjs", flavor("6")));
    expect(await run("p")).toBe(6);

    // A module that two flavors import.
    const import10 = 'import { shared } from "../shared.mjs";';
    await next(root, "p", () => root.write("flavors/v5/remote.mjs", flavor("shared", import10)));
    const [p, q] = await Promise.all([
      next(root, "p", () => root.write("flavors/shared.mjs", "export const shared = 11;\n")),
      next(root, "q", () => undefined),
    ]);
    expect([p.type, q.type]).toEqual(["pipeline.loaded", "pipeline.loaded"]);
    expect([await run("p"), await run("q")]).toEqual([11, 11]);
    expect((await daemon.end()).status).toBe(0);
  }, 120_000);

  it("says what is bad, and keeps the last good version in force meanwhile", async () => {
    const { root, daemon } = await daemonOver({
      ...FILES,
      "schedules/p.yaml": `orchestrator: remote\nschedule: { cron: "* * * * * *" }\n${STEPS}`,
    });
    /** Waits for a scheduled run that was made after the newest line. */
    const scheduled = async (): Promise<unknown> => {
      const since = linesOf(root, "p").at(-1)!.at;
      const made = await awaitSight(
        root.runs,
        () =>
          runsOf(root.runs, "p").find(
            (one) => one.lines[0]!.at > since && outcomeOf(one) !== undefined,
          ),
        "a scheduled run",
        20_000,
      );
      return versionOf(made);
    };
    const file = join(root.root, "flavors/remote.mjs");
    const bad: [() => void, RegExp | string][] = [
      [
        () => root.write("flavors/remote.mjs", "export default {"),
        /remote\.mjs:1:\d+: .*\(in the code of the orchestrator remote of orchd\.yaml\)/,
      ],
      [
        () => rmSync(file),
        "orchestrator names remote, an orchestrator of orchd.yaml that names " +
          "./flavors/remote.mjs, but remote.mjs does not exist",
      ],
      [
        () => root.write("flavors/remote.mjs", "export const other = 1;\n"),
        /which has no default export/,
      ],
      [
        () => root.write("flavors/remote.mjs", "export default class {}\n"),
        /the export is no orchestrator/,
      ],
      [
        () => root.write("flavors/remote.mjs", flavor('process.exit.nothing.at("all")')),
        /The environment of the orchestrator remote cannot be read/,
      ],
    ];
    for (const [act, sentence] of bad) {
      const line = await next(root, "p", act);
      expect(line.type).toBe("pipeline.invalid");
      expect(errorOf(line)).toMatch(sentence);
      expect(await scheduled()).toBe(1);
    }
    // The other pipelines are good, and so is the flavor once it is back.
    expect(linesOf(root, "q").map(({ type }) => type)).toEqual(["pipeline.loaded"]);
    await next(root, "p", () => root.write("flavors/remote.mjs", flavor("2")));
    expect(await scheduled()).toBe(2);

    // While no daemon is up: it starts with a bad flavor, and says so.
    await daemon.end();
    root.write("flavors/remote.mjs", "export default {");
    const second = await startDaemon({ root: root.root });
    const line = linesOf(root, "p").at(-1)!;
    expect(line.type).toBe("pipeline.invalid");
    expect(errorOf(line)).toContain("in the code of the orchestrator remote of orchd.yaml");
    expect(second.stderr()).toContain("the pipelines that name it keep their last good version");
    expect(await scheduled()).toBe(2);
    await second.end();
    root.write("flavors/remote.mjs", flavor("3"));
    const third = await startDaemon({ root: root.root });
    expect(await scheduled()).toBe(3);
    const validated = await orchd(root.root, "validate");
    expect(validated.status).toBe(0);
    expect((await third.end()).status).toBe(0);
  }, 240_000);

  it("lets a run end with the flavor that it began with, also after a crash", async () => {
    const { root, daemon } = await daemonOver({
      ...FILES,
      "schedules/p.yaml": `orchestrator: remote
steps:
  a: { run: 'until [ -e ../go ]; do sleep 0.05; done; echo "$VERSION" > "$ORCHD_OUTPUT"' }
  b: { run: 'echo "$VERSION" > "$ORCHD_OUTPUT"', after: a }
onInterruption: rerun
`,
    });
    const under = await submit(root.runs, "p");
    await awaitSight(
      root.runs,
      () => runsOf(root.runs, "p")[0]?.lines.find(({ type }) => type === "step.started"),
      "a started step",
    );
    await next(root, "p", () => root.write("flavors/remote.mjs", flavor("2")));
    await daemon.kill();
    root.write("flavors/remote.mjs", flavor("3"));
    const second = await startDaemon({ root: root.root });
    mkdirSync(join(root.root, "go"));
    const first = await ended(root.runs, under);
    expect(
      first.lines.flatMap((line) => (line.type === "step.completed" ? [line["outputs"]] : [])),
    ).toEqual([{ result: 1 }, { result: 1 }]);
    expect(versionOf(await ended(root.runs, await submit(root.runs, "p")))).toBe(3);
    expect((await second.end()).status).toBe(0);
  }, 60_000);
});

it("a bad flavor is what `orchd validate` says of the pipelines that name it", async () => {
  const root = tempRoot({ ...FILES, "flavors/remote.mjs": "export default class {}\n" });
  root.linkPackages();
  const validated = await orchd(root.root, "validate");
  expect(validated.status).toBe(2);
  expect(`${validated.stdout}${validated.stderr}`).toMatch(/p\.yaml:1:\d+: orchestrator/);
});
