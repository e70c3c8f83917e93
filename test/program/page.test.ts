/** The programs of docs/programs.md do what the page says. test/system/ checks their types. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { transformSync } from "esbuild";
import { expect, it } from "vitest";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { projectRoot, type TempRoot } from "../support/temp-root.ts";
import { programRoot } from "./program-rig.ts";

const PROGRAMS = Object.fromEntries(
  [
    ...readFileSync(join(projectRoot, "docs/programs.md"), "utf8").matchAll(
      /```ts\n\/\/ (\S+\.ts)\n([^]*?)```/g,
    ),
  ].map(([, name, text]) => [name!, text!]),
);
const ETL = `
params: { day: "2026-11-23" }
steps:
  read: { run: 'echo "$ORCHD_PARAM_day"', params: { day: "\${params.day}" } }
  count: { run: 'echo "\\"\${REGION-}\\"" > "$ORCHD_OUTPUT"', after: read }
`;
const STEPS = "read: 'completed', count: 'completed'";

const run = promisify(execFile);

/** Writes a program of the page into a root, and gives its path. */
function written(root: TempRoot, name: string): string {
  const text = PROGRAMS[name]!.replaceAll("/var/lib/orchd", root.root);
  const { code } = transformSync(text, { loader: "ts", target: "node20", format: "esm" });
  return root.write(name.replace(/ts$/, "mjs"), code);
}

/** Runs a program of the page to its end. @returns the lines that it said */
async function ran(root: TempRoot, name: string): Promise<string[]> {
  const options = { cwd: root.root, timeout: 50_000 };
  const { stdout, stderr } = await run(process.execPath, [written(root, name)], options);
  expect(stderr).toBe("");
  return stdout.trimEnd().split("\n");
}

it("are these", () => {
  expect(Object.keys(PROGRAMS)).toEqual([
    "watch.ts",
    "follow.ts",
    "submit.ts",
    "report.ts",
    "one-by-one.ts",
  ]);
});

it("watch.ts asks the daemon for a run, and shows it", async () => {
  const root = programRoot({ "schedules/etl.yaml": ETL });
  const daemon = await startDaemon({ root: root.root });
  const said = await ran(root, "watch.ts");
  const [{ run: id }] = runsOf(root.runs, "etl") as [ReturnType<typeof runsOf>[number]];
  expect(said).toEqual([
    "completed [ 'read: completed', 'count: completed' ]",
    "read | 2026-11-28",
    `${id} completed`,
    expect.stringContaining('there is no pipeline "elt"'),
  ]);
  expect(said[3]).toContain('did you mean "etl"?');
  await daemon.end();
});

it("follow.ts keeps its position, and goes on from there", async () => {
  const root = programRoot({ "schedules/etl.yaml": ETL });
  const daemon = await startDaemon({ root: root.root });
  const path = written(root, "follow.ts");
  const position = (): string => {
    try {
      return readFileSync(join(root.root, "position"), "utf8");
    } catch {
      return "";
    }
  };
  for (let round = 0; round < 2; round += 1) {
    const before = position();
    const following = run(process.execPath, [path], { cwd: root.root, timeout: 50_000 });
    following.catch(() => undefined);
    while (position() === before) await ask(root.root, "run", "etl", "--wait");
    following.child.kill("SIGKILL");
    await following.catch(() => undefined);
    expect(position()).not.toBe(before);
  }
  await daemon.end();
});

it.each(["down", "up"])("submit.ts runs a pipeline with the daemon %s", async (daemonIs) => {
  const root = programRoot({ "schedules/etl.yaml": ETL });
  const daemon = daemonIs === "up" ? await startDaemon({ root: root.root }) : undefined;
  expect(await ran(root, "submit.ts")).toEqual([`completed { ${STEPS} }`]);
  expect(runsOf(root.runs, "etl").map(outcomeOf)).toEqual(["completed"]);
  await daemon?.end();
});

it("report.ts runs the pipeline that it makes", async () => {
  const root = programRoot();
  expect(await ran(root, "report.ts")).toEqual(["completed"]);
  const [{ run: id }] = runsOf(root.runs, "report") as [ReturnType<typeof runsOf>[number]];
  const logs = await ask(root.root, "logs", id, "--json");
  expect(logs.jsonLines<{ line: string }>().map(({ line }) => line)).toEqual(["3 words"]);
});

it("one-by-one.ts runs a pipeline by an orchestrator of its own", async () => {
  const root = programRoot({ "schedules/etl.yaml": ETL });
  expect(await ran(root, "one-by-one.ts")).toEqual(["{ steps: 2 } completed"]);
  const [{ run: id, lines }] = runsOf(root.runs, "etl") as [ReturnType<typeof runsOf>[number]];
  expect(lines.find(({ type }) => type === "submit.accepted")).toMatchObject({
    orchestratorRunId: `one-by-one-${id}`,
  });
  const outputs = lines.flatMap((line) =>
    line.type === "step.completed" ? [line["outputs"]] : [],
  );
  expect(outputs[1]).toEqual({ result: "eu" });
});

it("one-by-one.ts closes its root at a signal", async () => {
  const root = programRoot({
    "schedules/etl.yaml":
      "gracePeriod: 500ms\nsteps: { wait: { run: 'trap \"\" TERM; sleep 60' } }\n",
  });
  const options = { cwd: root.root, timeout: 50_000 };
  const program = run(process.execPath, [written(root, "one-by-one.ts")], options);
  const ended = program.then(
    () => 0,
    ({ code }: { code: number }) => code,
  );
  const begun = () =>
    runsOf(root.runs, "etl").flatMap(({ lines }) => lines.map(({ type }) => type));
  while (!begun().includes("step.started")) await sleep(20);
  program.child.kill("SIGINT");
  // What it awaited was stopped.
  expect(await ended).toBe(1);
  expect(runsOf(root.runs, "etl").map(outcomeOf)).toEqual(["stopped"]);
});
