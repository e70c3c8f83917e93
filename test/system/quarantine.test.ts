/**
 * Promise 4 from outside: a damaged ledger is set aside and explained, the others go on, and a
 * repair keeps the evidence and invents nothing.
 */
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { awaitLine, awaitLines, awaitSight, linesOf } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

const EVERY_SECOND = `schedule: { cron: "* * * * * *" }
overlap: allow
steps:
  one: { run: "true" }
`;

interface Verification {
  readonly faults: readonly {
    readonly file: string;
    readonly line: number;
    readonly fault: string;
  }[];
}

/** Changes a byte of a line; lines count from 1. */
function damage(path: string, line: number): void {
  const lines = readFileSync(path, "latin1").split("\n");
  lines[line - 1] = lines[line - 1]!.replace('"type":"', '"tyqe":"');
  writeFileSync(path, lines.join("\n"), "latin1");
}

it(
  "a daemon sets damaged ledgers aside, goes on with the others, and repairs on request",
  { timeout: 60_000 },
  async () => {
    const root = tempRoot({
      "schedules/tick.yaml": EVERY_SECOND,
      "schedules/other.yaml": EVERY_SECOND,
      "schedules/hold.yaml": `overlap: allow
onInterruption: rerun
steps:
  first: { run: "true" }
  wait: { run: "until test -e ../go; do sleep 0.1; done", after: [first] }
`,
    });
    const ledgerOf = (pipeline: string): string => join(root.runs, pipeline, "pipeline.jsonl");
    const verify = async (): Promise<Verification["faults"]> =>
      (await ask(root.root, "verify", "--json")).json<Verification>().faults;
    const first = await startDaemon({ root: root.root });
    const asked = await Promise.all([1, 2, 3].map(() => ask(root.root, "run", "hold", "--json")));
    const held = asked.map((answer) => answer.json<{ run: string }>().run);
    const pathOf = (run: string): string =>
      runsOf(root.runs, "hold").find((one) => one.run === run)!.path;
    const [damaged, torn, headerless] = held.map(pathOf) as [string, string, string];
    for (const path of [damaged, torn, headerless])
      await awaitLine(path, (line) => line.type === "step.started" && line["step"] === "wait");
    const [ended] = await awaitLines(ledgerOf("tick"), 1, (line) => line.type === "run.finished");
    await awaitLines(ledgerOf("other"), 3, (line) => line.type === "slot.fired");
    await first.kill();
    const finished = join(
      root.runs,
      "tick",
      String(ended!["run"]).slice(5, 9) + "-" + String(ended!["run"]).slice(9, 11),
      `${String(ended!["run"])}.jsonl`,
    );

    damage(damaged, 2);
    truncateSync(torn, readFileSync(torn).length - 5);
    truncateSync(headerless, 20);
    // Each of its lines is whole, and its end is missing.
    writeFileSync(
      finished,
      readFileSync(finished, "latin1").split("\n").slice(0, -2).join("\n") + "\n",
      "latin1",
    );
    damage(ledgerOf("other"), 4);
    const evidence = new Map(
      [damaged, headerless, finished, ledgerOf("other")].map((path) => [path, readFileSync(path)]),
    );
    const faults = await verify();
    const faultOf = (path: string): string | undefined =>
      faults.find(({ file }) => file === path)?.fault;
    expect(faultOf(damaged)).toMatch(/^damaged: /);
    expect(faultOf(torn)).toMatch(/^torn tail: /);
    expect(faultOf(headerless)).toMatch(/^no whole header: /);
    expect(faultOf(finished)).toMatch(/^lines are missing at the end/);
    expect(faultOf(ledgerOf("other"))).toMatch(/^damaged: /);

    const second = await startDaemon({ root: root.root });
    const slots = linesOf(ledgerOf("tick")).filter((line) => line.type === "slot.fired").length;
    await awaitLines(ledgerOf("tick"), slots + 2, (line) => line.type === "slot.fired");
    await awaitLine(ledgerOf("other"), (line) => line.type === "slot.fired");
    expect(
      readFileSync(`${ledgerOf("other")}.damaged-1`).equals(evidence.get(ledgerOf("other"))!),
    ).toBe(true);
    await awaitLine(torn, (line) => line.type === "run.recovered");
    for (const path of [damaged, headerless, finished])
      expect(readFileSync(path).equals(evidence.get(path)!)).toBe(true);
    expect((await verify()).map(({ file }) => file).toSorted()).toEqual(
      [damaged, headerless, finished].toSorted(),
    );

    writeFileSync(join(root.root, "go"), "");
    for (const [path, run] of [
      [damaged, held[0]!],
      [headerless, held[2]!],
      [finished, String(ended!["run"])],
    ] as const) {
      const repaired = await ask(root.root, "repair", run, "--json");
      expect(repaired.json()).toMatchObject({ accepted: true });
      expect(readFileSync(`${path}.damaged-1`).equals(evidence.get(path)!)).toBe(true);
      // Asked again, it says that this is done already, and does nothing.
      if (path !== headerless)
        await awaitSight(
          root.runs,
          () => (linesOf(path).at(-1)?.type === "run.finished" ? true : undefined),
          `an end of ${run}`,
        );
      const again = await ask(root.root, "repair", run, "--json");
      expect(again.stdout + again.stderr).toMatch(
        path === headerless ? /no run/ : /repaired already/,
      );
    }
    expect(linesOf(finished).at(-1)).toMatchObject({
      type: "run.finished",
      status: ended!["status"],
    });
    expect(
      linesOf(ledgerOf("hold")).find(
        (line) => line.type === "run.finished" && line["run"] === held[2],
      ),
    ).toMatchObject({ status: "failed" });
    expect(existsSync(headerless)).toBe(false);
    await awaitSight(
      root.runs,
      () =>
        runsOf(root.runs, "hold").every((run) => outcomeOf(run) === "completed") ? true : undefined,
      "the ends of the runs of hold",
    );
    await second.end();
    expect(await verify()).toEqual([]);
  },
);
