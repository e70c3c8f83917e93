/**
 * Another release of orchd is installed under a daemon that lives: its programs may not understand
 * this daemon, so nothing of them is started. What waits costs no attempt, and nobody reads a
 * stack.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { awaitLine, awaitSight, linesOf } from "../support/await-event.ts";
import { readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { otherRelease } from "../support/other-release.ts";
import { tempRoot } from "../support/temp-root.ts";
import { TEST_IMAGE } from "../support/test-engine.ts";

/** Larger than what is read in the daemon's own thread. */
const STEPS = Array.from({ length: 3_000 }, (_, n) => `  s${n}: { run: "true" }\n`);

it.skipIf(SKIP_CONTAINERS)(
  "a daemon whose package is renewed begins no step, here or in a container, and reads no file",
  { timeout: 180_000 },
  async () => {
    readyContainers();
    const root = tempRoot({
      "schedules/here.yaml": "enableCache: false\nsteps: { one: { uses: ./steps/one.mjs } }\n",
      "schedules/box.yaml": `steps: { one: { container: "${TEST_IMAGE}", run: "true" } }\n`,
      "schedules/steps/one.mjs": "export default () => 1;\n",
    });
    const program = otherRelease([]);
    const manifest = join(dirname(program), "../../package.json");
    const text = readFileSync(manifest, "utf8");
    const daemon = await startDaemon({ root: root.root, program });
    const logs = (words: string): Promise<true> =>
      awaitSight(root.root, () => daemon.stderr().includes(words) || undefined, words, 60_000);
    const run = async (pipeline: string): Promise<string> => {
      const asked = await orchd(root.root, "run", pipeline, "--json");
      const { run: id } = asked.json<{ run: string }>();
      const [, year, month] = /@(\d{4})(\d\d)/.exec(id)!;
      return join(root.runs, pipeline, `${year}-${month}`, `${id}.jsonl`);
    };
    const ends = async (path: string): Promise<unknown> =>
      (await awaitLine(path, ({ type }) => type === "run.finished", 90_000))["status"];
    // A runner that is up is no reason to go on.
    expect(await ends(await run("here"))).toBe("completed");
    writeFileSync(manifest, text.replace(/"version": "[^"]*"/, '"version": "9.9.9"'));
    // It is looked for once a second (start-gate.ts).
    await sleep(1_000);
    const begun = [await run("here"), await run("box")];
    await logs("no step begins: orchd 9.9.9 was installed while this process is orchd");
    root.write("schedules/large.yaml", `steps:\n${STEPS.join("")}`);
    await logs("large.yaml takes long to be loaded");
    const started = begun.flatMap(linesOf).filter(({ type }) => type === "step.started");
    expect(started).toEqual([]);
    writeFileSync(manifest, text);
    await logs("steps begin again");
    expect(await Promise.all(begun.map(ends))).toEqual(["completed", "completed"]);
    expect(daemon.stderr()).not.toMatch(/\n +at /);
    await logs("pipeline large loaded");
    await daemon.end();
  },
);
