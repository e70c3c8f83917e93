/** A stop that is asked for, of steps that hear it and of steps that do not. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { awaitLine, awaitSight } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, processesWith, runsOf } from "../support/ledgers.ts";
import { shared } from "../support/shared-subject.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

const STEPS: Record<
  string,
  { readonly file?: string; readonly step: string; readonly heedsGraceful: boolean }
> = {
  polite: {
    file: `export default ({ signal }) => new Promise((_, reject) => {
  const hold = setInterval(() => {}, 1000);
  signal.addEventListener("abort", () => {
    clearInterval(hold);
    reject(signal.reason);
  });
  console.log("up");
});`,
    step: "{ uses: ./steps/polite.mjs }",
    heedsGraceful: true,
  },
  spinning: {
    file: `export default () => { console.log("up"); for (;;) {} };`,
    step: "{ uses: ./steps/spinning.mjs }",
    heedsGraceful: false,
  },
  blocked: {
    file: `import { execSync } from "node:child_process";
export default () => {
  console.log("up");
  execSync("sleep 3600");
};`,
    step: "{ uses: ./steps/blocked.mjs }",
    heedsGraceful: false,
  },
  stubborn: {
    step: `{ run: "trap '' TERM INT; echo up; while :; do sleep 3600; done" }`,
    heedsGraceful: false,
  },
};

/** Drops a pipeline's file, and waits until the daemon has it. */
async function loaded(root: TempRoot, name: string, text: string): Promise<void> {
  root.write(`schedules/${name}.yaml`, text);
  const path = join(root.runs, name, "pipeline.jsonl");
  await awaitLine(path, ({ type }) => type === "pipeline.loaded");
}

describe("a stop that is asked for", () => {
  const stopping = shared(async (): Promise<TempRoot> => {
    const root = tempRoot({ "orchd.yaml": "gracePeriod: 1s\n" });
    await startDaemon({ root: root.root });
    return root;
  });

  it.each(Object.entries(STEPS))(
    "ends a %s step, by force where a graceful stop does not, and leaves no process",
    async (name, { file, step, heedsGraceful }) => {
      const marker = `stop-${name}-${process.pid}-${Math.random().toString(36).slice(2)}`;
      const root = await stopping();
      if (file !== undefined) root.write(`schedules/steps/${name}.mjs`, file);
      await loaded(
        root,
        name,
        `env: { MARKER: ${marker} }
steps:
  it: ${step}
  after: { run: "true", after: [it] }
`,
      );
      const { run } = (await ask(root.root, "run", name, "--json")).json<{ run: string }>();
      const path = await awaitSight(
        root.runs,
        () => runsOf(root.runs, name)[0]?.path,
        "the run's ledger",
      );
      await awaitLine(path, (line) => line.type === "step.started");
      // It runs too: a step that still waits for a thread would be stopped at once.
      await awaitLine(path.replace(/jsonl$/, "log"), (line) => line["line"] === "up");
      if (!heedsGraceful) {
        const graceful = await ask(root.root, "stop", run);
        expect(graceful.status).toBe(0);
        await awaitLine(
          path,
          (line) => line.type === "run.stop_requested" && line["mode"] === "graceful",
        );
        const status = (await ask(root.root, "status", run, "--json")).json<{ status: string }>();
        expect(status.status).toBe("stopping");
      }
      expect(
        (await ask(root.root, "stop", run, ...(heedsGraceful ? [] : ["--force"]))).status,
      ).toBe(0);
      const finished = await awaitLine(path, (line) => line.type === "run.finished");
      expect(finished["status"]).toBe("stopped");
      const asked = await awaitLine(
        path,
        (line) =>
          line.type === "run.stop_requested" &&
          line["mode"] === (heedsGraceful ? "graceful" : "force"),
      );
      // The grace period of 1 s, and 2 s more.
      expect(Date.parse(finished.at) - Date.parse(asked.at)).toBeLessThan(3_000);
      expect(outcomeOf(runsOf(root.runs, name)[0]!)).toBe("stopped");
      await awaitSight(
        "/proc",
        () => (processesWith(marker).length === 0 ? true : undefined),
        () => `an end of ${processesWith(marker).join(", ")}`,
      );
      // The daemon and its next runner still work.
      await loaded(root, `${name}-next`, `steps:\n  fine: { run: "true" }\n`);
      expect((await ask(root.root, "run", `${name}-next`, "--wait")).status).toBe(0);
    },
  );
});
