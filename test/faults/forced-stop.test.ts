/**
 * Promise 23: a forced stop ends a run within the grace period + 2 s, whatever its step does, and
 * no process of it lives on.
 */
import { describe, expect, it } from "vitest";
import { awaitLine, awaitSight } from "../support/await-event.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { reached, trials } from "../support/figures.ts";
import { processesWith, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

/** Starts a child without token and process group; its command line tells it. */
const CLEARED = `setsid env -i sh -c 'trap \\"\\" TERM; sleep 3600' $ORCHD_RUN_ID &`;
const GRACE_MS = 1_000;

const STEPS: Record<string, string> = {
  polite: `{ uses: "./steps/stop.mjs#polite" }`,
  deaf: `{ uses: "./steps/stop.mjs#deaf" }`,
  spinning: `{ uses: "./steps/stop.mjs#spinning" }`,
  blocked: `{ uses: "./steps/stop.mjs#blocked" }`,
  stubborn: `{ run: "trap '' TERM INT; echo up; while :; do sleep 3600; done" }`,
  hidden: `{ run: "setsid sh -c 'trap \\"\\" TERM; sleep 3600' & echo up; wait; sleep 3600" }`,
  cleared: `{ run: "${CLEARED} echo up; wait" }`,
  "cleared-deaf": `{ run: "trap '' TERM; ${CLEARED} echo up; while :; do sleep 3600; done" }`,
};

/** Hears the signal, and says when it is up. */
const POLITE = `({ signal }) => new Promise((_, reject) => {
  const hold = setInterval(() => {}, 1000);
  signal.addEventListener("abort", () => {
    clearInterval(hold);
    reject(signal.reason);
  });
  console.log("up");
});`;

describe("a forced stop", () => {
  it("ends every kind of step in time", { timeout: 1_800_000 }, async () => {
    const rounds = trials(1, 34);
    const marker = `forced-${process.pid}-${Math.random().toString(36).slice(2)}`;
    const names = Object.keys(STEPS);
    const root = tempRoot({
      "orchd.yaml": `gracePeriod: ${GRACE_MS}ms\n`,
      ...Object.fromEntries(
        names.map((name) => [
          `schedules/${name}.yaml`,
          `overlap: allow
enableCache: false
env: { MARKER: ${marker} }
steps:
  it: ${STEPS[name]}
  beside: { run: sleep 3600 }
`,
        ]),
      ),
      "schedules/steps/stop.mjs": `import { execSync } from "node:child_process";
export const polite = ${POLITE}
export const deaf = () => { console.log("up"); return new Promise(() => {}); };
export const spinning = () => { console.log("up"); for (;;) {} };
export const blocked = () => { console.log("up"); execSync("sleep 3600"); };`,
    });
    await startDaemon({ root: root.root });
    let good = 0;
    const faults: string[] = [];
    for (let round = 0; round < rounds; round += 1) {
      for (const name of names) {
        const { run } = (await orchd(root.root, "run", name, "--json")).json<{ run: string }>();
        const path = runsOf(root.runs, name).find((one) => one.run === run)!.path;
        await awaitLine(path.replace(/\.jsonl$/, ".log"), (line) => line["line"] === "up");
        // Every second run is stopping gracefully already.
        if (round % 2 === 0) expect((await orchd(root.root, "stop", run)).status).toBe(0);
        const stop = await orchd(root.root, "stop", run, "--force");
        const finished = await awaitLine(path, (line) => line.type === "run.finished");
        const asked = await awaitLine(path, (line) => line.type === "run.stop_requested");
        const took = Date.parse(finished.at) - Date.parse(asked.at);
        const forced = runsOf(root.runs, name)
          .find((one) => one.run === run)!
          .lines.findLast((line) => line.type === "run.stop_requested")!;
        const afterForce = Date.parse(finished.at) - Date.parse(forced.at);
        await awaitSight(
          "/proc",
          () => (processesWith(run).length === 0 ? true : undefined),
          () => `an end of ${processesWith(run).join(", ")} of ${run}`,
        );
        if (finished["status"] !== "stopped")
          faults.push(`${run} ended ${String(finished["status"])}`);
        else if (afterForce > GRACE_MS + 2_000)
          faults.push(`${run} took ${afterForce} ms (${took} in all)`);
        else if (stop.status !== 0 && !/ended already/.test(stop.stderr))
          faults.push(`${run}: ${stop.stderr}`);
        else good += 1;
      }
    }
    reached(
      23,
      `forced stops within the grace period and 2 s, without survivors`,
      good,
      rounds * names.length,
    );
    expect(faults).toEqual([]);
  });

  it("ends at once a run that is queued, and one whose init hook runs", async () => {
    const root = tempRoot({
      "schedules/queue.yaml": `overlap: queue_all
steps:
  hold: { run: "echo up; sleep 3600" }
`,
      "schedules/start.yaml": `hooks: { init: "./steps/init.mjs" }
steps:
  it: { run: "true" }
`,
      "schedules/steps/init.mjs": `export default ${POLITE}`,
      "orchd.yaml": `gracePeriod: ${GRACE_MS}ms\n`,
    });
    await startDaemon({ root: root.root });
    const ask = async (pipeline: string): Promise<string> =>
      (await orchd(root.root, "run", pipeline, "--json")).json<{ run: string }>().run;
    const ledgerOf = (pipeline: string, run: string): string =>
      runsOf(root.runs, pipeline).find((one) => one.run === run)!.path;
    const first = await ask("queue");
    await awaitLine(
      ledgerOf("queue", first).replace(/\.jsonl$/, ".log"),
      (line) => line["line"] === "up",
    );
    const waiting = await ask("queue");
    await awaitLine(ledgerOf("queue", waiting), (line) => line.type === "run.queued");
    expect((await orchd(root.root, "stop", waiting)).status).toBe(0);
    expect(
      await awaitLine(ledgerOf("queue", waiting), (line) => line.type === "run.finished"),
    ).toMatchObject({ status: "stopped" });
    const lines = runsOf(root.runs, "queue")
      .find((one) => one.run === waiting)!
      .lines.map((line) => line.type);
    expect(lines).not.toContain("run.started");
    const starting = await ask("start");
    await awaitLine(
      ledgerOf("start", starting).replace(/\.jsonl$/, ".log"),
      (line) => line["line"] === "up",
    );
    expect((await orchd(root.root, "stop", starting, "--force")).status).toBe(0);
    expect(
      await awaitLine(ledgerOf("start", starting), (line) => line.type === "run.finished"),
    ).toMatchObject({ status: "stopped" });
    expect(runsOf(root.runs, "start")[0]!.lines.some((line) => line.type === "step.started")).toBe(
      false,
    );
    expect((await orchd(root.root, "stop", first, "--force")).status).toBe(0);
  });
});
