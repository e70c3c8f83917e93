/** The example farm: a real nats-server, and a worker that is ended. */
import { describe, expect, it, onTestFinished } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { outcomeOf, runsOf } from "../support/ledgers.ts";
import { NatsServer, SKIP_NATS } from "../support/nats-server.ts";
import { natsPlace, TEST_KEY, WorkerProcess } from "../support/worker.ts";
import { edit, exampleRoot, linesOfType, withSecret } from "./example-root.ts";

describe.skipIf(SKIP_NATS)("the example farm", () => {
  it("runs its steps at a worker, and says which", async () => {
    const server = await NatsServer.start();
    onTestFinished(() => server.remove());
    const root = exampleRoot("farm");
    edit(root, "orchd.yaml", "nats://127.0.0.1:4222", server.url);
    const daemon = await startDaemon({
      root: root.root,
      env: withSecret(root, "queue.key", TEST_KEY),
    });
    const words = ["--labels", "linux"];
    const worker = new WorkerProcess({ place: natsPlace(server.url), name: "w1", words });
    expect((await orchd(root.root, "run", "harvest", "--wait")).status).toBe(0);
    const run = runsOf(root.runs, "harvest").at(-1)!;
    expect(outcomeOf(run)).toBe("completed");
    const placed = linesOfType(run, "step.placed").map(({ step, place, host }) => [
      step,
      place,
      host,
    ]);
    expect(placed).toEqual([
      ["ask", "farm", "w1"],
      ["work", "farm", "w1"],
    ]);
    // What a place says of itself is written a moment after it has changed.
    await expect
      .poll(async () => (await orchd(root.root, "places")).stdout, { timeout: 20_000 })
      .toMatch(/farm +nats .*w1 +linux +0 +\d+ .*takes work/);
    worker.process.kill("SIGTERM");
    await worker.ended;
    await daemon.end();
  }, 120_000);
});
