/**
 * The program that was promised, word for word: test/fixtures/promised-program.txt. It uses the
 * whole surface for programs, with a daemon and without one.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { projectRoot } from "../support/temp-root.ts";
import { programRoot, startProgram } from "./program-rig.ts";

const PROMISED = readFileSync(join(projectRoot, "test/fixtures/promised-program.txt"), "utf8");
const ETL = `
params: { day: "2026-11-23" }
steps:
  read: { run: 'echo "$ORCHD_PARAM_day"', params: { day: "\${params.day}" } }
  count: { run: "true", after: read }
`;

it.each(["up", "down"])("the promised program runs with the daemon %s", async (daemonIs) => {
  const root = programRoot({ "schedules/etl.yaml": ETL });
  const daemon = daemonIs === "up" ? await startDaemon({ root: root.root }) : undefined;
  const text = PROMISED.replaceAll("/var/lib/orchd", root.root);
  const { status, said, stderr } = await startProgram(
    root,
    `
    const params = { day: "2026-11-24" };
    process.on("exit", () => {
      say([run ?? null, placeholderRun.id]);
      say([status === ExecutionStatus.completed, steps]);
      say(ExecutionMode.continueOnFailure);
      say(orchestrator instanceof BaseOrchestrator && orchestrator instanceof LocalOrchestrator);
    });
    ${text}`,
    { imports: false },
  ).ended;
  // The last line stops a run that has ended, and that is refused.
  expect(status).toBe(1);
  expect(stderr).toContain("has finished already");
  expect(stderr).not.toContain("ORCHD");
  const [[asked, submitted], ...rest] = said as [[string | null, string], ...unknown[]];
  expect(rest).toEqual([
    [true, { read: "completed", count: "completed" }],
    "continue_on_failure",
    true,
  ]);
  // Without a daemon the request is kept, and the next daemon honours it.
  const last = daemon ?? (await startDaemon({ root: root.root }));
  while (runsOf(root.runs, "etl").filter(outcomeOf).length < 2) await sleep(20);
  await last.end();
  const runs = runsOf(root.runs, "etl");
  expect(runs.map(outcomeOf)).toEqual(["completed", "completed"]);
  const own = runs.find(({ run }) => run === submitted)!;
  const other = runs.find(({ run }) => run !== submitted)!;
  expect(own.lines[0]).toMatchObject({ params: { day: "2026-11-23" } });
  expect(other.lines[0]).toMatchObject({ params: { day: "2026-11-24" } });
  expect(asked).toBe(daemonIs === "up" ? other.run : null);
});
