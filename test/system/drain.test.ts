/** The end of a daemon while something still runs, and after everything has ended. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { awaitLine, awaitSight } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

it("a daemon that ends while a hook runs has the hook run again at the next start", async () => {
  const root = tempRoot({
    "orchd.yaml": "drainPeriod: 200ms\ngracePeriod: 200ms\n",
    "schedules/p.yaml": `hooks: { onSuccess: ./steps/hooks.mjs#ok }
steps:
  it: { run: "true" }
`,
    "schedules/steps/hooks.mjs": `import { existsSync, writeFileSync } from "node:fs";
const mark = new URL("../../begun", import.meta.url);
export async function ok({ signal }) {
  if (existsSync(mark)) return;
  writeFileSync(mark, "");
  await new Promise((resolve) => setTimeout(resolve, 3_600_000));
}
`,
  });
  const first = await startDaemon({ root: root.root });
  await ask(root.root, "run", "p");
  await awaitSight(
    root.root,
    () => (existsSync(join(root.root, "begun")) ? true : undefined),
    "a start of the hook",
  );
  expect((await first.end("SIGTERM", 10_000)).status).toBe(0);
  expect(outcomeOf(runsOf(root.runs, "p")[0]!)).toBeUndefined();
  await startDaemon({ root: root.root });
  await awaitLine(runsOf(root.runs, "p")[0]!.path, (line) => line.type === "hook.completed");
  await awaitSight(
    root.runs,
    () => (outcomeOf(runsOf(root.runs, "p")[0]!) === "completed" ? true : undefined),
    "an end of the run",
  );
});

it("a daemon that ends leaves no process that waits out a time limit", async () => {
  const root = tempRoot({ "schedules/p.yaml": `steps:\n  it: { run: "true" }\n` });
  const daemon = await startDaemon({ root: root.root });
  expect((await ask(root.root, "run", "p", "--wait")).status).toBe(0);
  // The drain and grace periods are the usual 30 s and 10 s: nothing may wait for that long.
  expect((await daemon.end("SIGTERM", 20_000)).status).toBe(0);
});
