/** A real `orchd worker` over a real nats-server, beside a played daemon. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { CutLink } from "../support/cut-link.ts";
import { NatsServer, SKIP_NATS } from "../support/nats-server.ts";
import { PlayedDaemon } from "../support/played-daemon.ts";
import { expect, onTestFinished } from "../support/running-test.ts";
import { tempRoot } from "../support/temp-root.ts";
import { natsPlace, WorkerProcess } from "../support/worker.ts";

const FAR = { timeout: 60_000 };

interface World {
  readonly daemon: PlayedDaemon;
  readonly nats: NatsServer;
  readonly worker: WorkerProcess;
  readonly again: () => Promise<WorkerProcess>;
}

async function served(...words: string[]): Promise<World> {
  const nats = await NatsServer.start();
  onTestFinished(() => nats.remove());
  const daemon = new PlayedDaemon(nats.url);
  const place = natsPlace(nats.url);
  const worker = await new WorkerProcess({ place, words }).serves();
  await daemon.heard("beat");
  const again = (): Promise<WorkerProcess> =>
    new WorkerProcess({ place, words, root: worker.root }).serves();
  return { daemon, nats, worker, again };
}

const LOOP = "trap '' TERM; while :; do echo alive; sleep 0.2; done";

describe.skipIf(SKIP_NATS)("a worker's process", { concurrent: true }, () => {
  it("says what it is, runs steps, and ends with its last one", FAR, async () => {
    const { daemon, worker } = await served("--labels", "gpu,linux", "--threads", "3");
    expect(await daemon.heard("beat")).toMatchObject({
      worker: "w1",
      labels: ["gpu", "linux"],
      threads: 3,
      tasks: [],
    });
    const text = 'pwd; echo "$WORD"; sleep 1; echo \'{"a":1}\' > "$ORCHD_OUTPUT"';
    const secret = { env: { WORD: "hush-hush" }, secrets: ["hush-hush"] };
    expect(await daemon.give("w1", "etl@1#2", text, secret)).toEqual({ type: "taken" });
    await daemon.heard("output");
    worker.signal("SIGTERM");
    const { end, batches } = await daemon.heard("end");
    expect(end).toMatchObject({ kind: "result", result: { ok: true, value: { a: 1 } } });
    expect(batches).toBe(daemon.said.filter(({ type }) => type === "output").length);
    expect(daemon.linesOf("etl@1#2")[1]).toBe("***");
    await daemon.heard("bye");
    expect(await worker.ended).toBe(0);
    expect(worker.processes()).toEqual([]);
    expect(daemon.said.filter(({ type }) => type === "claim")).toHaveLength(1);
  });

  it("that is frozen ends what runs, and says so once it is thawed", FAR, async () => {
    const { daemon, worker } = await served();
    await daemon.give("w1", "etl@1#2", LOOP);
    await daemon.heard("output");
    worker.signal("SIGSTOP");
    const at = performance.now();
    await expect.poll(() => worker.processes(), { timeout: 15_000 }).toEqual([]);
    expect(performance.now() - at).toBeLessThan(8_000);
    const beats = daemon.said.length;
    worker.signal("SIGCONT");
    await daemon.heard(
      "beat",
      ({ tasks }) => daemon.said.length > beats && !tasks.includes("etl@1#2"),
    );
  });

  it("ends what runs where the daemon is silent, and keeps a result", FAR, async () => {
    const { daemon, nats, worker } = await served();
    const file = join(tempRoot().root, "go");
    await daemon.give("w1", "etl@1#2", LOOP);
    const waits = `while [ ! -e ${file} ]; do sleep 0.1; done; echo 5 > "$ORCHD_OUTPUT"`;
    await daemon.give("w1", "etl@1#3", waits);
    await daemon.heard("output");
    await nats.kill();
    const at = performance.now();
    writeFileSync(file, "");
    await expect.poll(() => worker.processes(), { timeout: 15_000 }).toEqual([]);
    expect(performance.now() - at).toBeLessThan(10_000);
    await nats.begin();
    const { end } = await daemon.heard("end", ({ id }) => id === "etl@1#3");
    expect(end).toMatchObject({ result: { ok: true, value: 5 } });
    await daemon.heard("beat", ({ tasks }) => tasks.length === 0);
    expect(worker.stderr).toContain("the daemon has not answered for 6 s");
    expect(worker.stderr).toContain("the broker answers again");
  });

  it("that is killed leaves nothing, and its next one says so at once", FAR, async () => {
    const { daemon, worker, again } = await served();
    await daemon.give("w1", "etl@1#2", `setsid sh -c "${LOOP.replace("trap", ": #")}" & ${LOOP}`);
    await daemon.heard("output");
    await worker.kill();
    const next = await again();
    const [first] = daemon.hellos;
    await daemon.heard("beat", ({ incarnation }) => incarnation !== first!.incarnation);
    expect(daemon.hellos.map(({ home }) => home)).toEqual([first!.home, first!.home]);
    expect(next.processes()).toEqual([]);
  });

  it("that was cut off from its broker ends on SIGTERM all the same", FAR, async () => {
    const nats = await NatsServer.start();
    onTestFinished(() => nats.remove());
    const link = await CutLink.to(nats.port);
    onTestFinished(() => link.close());
    const daemon = new PlayedDaemon(nats.url);
    const place = natsPlace(`nats://127.0.0.1:${link.port}`);
    const worker = await new WorkerProcess({ place }).serves();
    await daemon.heard("beat");
    link.cut();
    await expect
      .poll(() => worker.stderr, { timeout: 20_000 })
      .toContain("does not answer: timeout");
    link.mend();
    await expect.poll(() => worker.stderr, { timeout: 20_000 }).toContain("answers again");
    worker.signal("SIGTERM");
    const ended = await Promise.race([worker.ended, sleep(8_000).then(() => "it goes on")]);
    expect(ended).toBe(0);
  });

  it("ends at once on the second signal", FAR, async () => {
    const { daemon, worker } = await served();
    await daemon.give("w1", "etl@1#2", LOOP);
    await daemon.heard("output");
    worker.signal("SIGTERM");
    await daemon.heard("beat", ({ leaving }) => leaving);
    worker.signal("SIGTERM");
    expect(await worker.ended).toBe(0);
    expect(worker.processes()).toEqual([]);
    await daemon.heard("bye");
  });

  it("stops a step gently or by force, and ends one that is not wanted", FAR, async () => {
    const { daemon, worker } = await served();
    const kind = `trap 'echo heard; echo 7 > "$ORCHD_OUTPUT"; exit 0' TERM; echo up; sleep 60`;
    await daemon.give("w1", "etl@1#2", kind);
    await daemon.give("w1", "etl@1#3", LOOP);
    await daemon.give("w1", "etl@1#4", LOOP);
    await daemon.heard("output", ({ id }) => id === "etl@1#2");
    await daemon.heard("output", ({ id }) => id === "etl@1#3");
    const stop = { type: "stop", because: "a person asked" } as const;
    await daemon.tell("w1", { ...stop, id: "etl@1#2", mode: "graceful" });
    await daemon.tell("w1", { ...stop, id: "etl@1#3", mode: "force" });
    expect((await daemon.heard("end", ({ id }) => id === "etl@1#2")).end).toMatchObject({
      result: { ok: true, value: 7 },
    });
    expect((await daemon.heard("end", ({ id }) => id === "etl@1#3")).end).toMatchObject({
      result: { ok: false, outcome: "stopped", error: { message: "a person asked" } },
    });
    daemon.answer = ({ type }) =>
      type === "beat" ? { type: "beat", unwanted: ["etl@1#4"] } : undefined;
    await daemon.heard("beat", ({ tasks }) => tasks.includes("etl@1#4"));
    await daemon.heard("beat", ({ tasks }) => tasks.length === 0);
    await expect.poll(() => worker.processes().length, { timeout: 30_000 }).toBeLessThan(4);
  });

  it("gives all of 8 MiB of output in order, and no more", FAR, async () => {
    const { daemon } = await served();
    const text =
      "i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; yes y | head -c 40000000";
    await daemon.give("w1", "etl@1#2", text);
    await daemon.heard("end");
    const lines = daemon.linesOf("etl@1#2");
    const first = lines.slice(0, 20_000).map(Number);
    expect(first.every((line, index) => line === index)).toBe(true);
    expect(lines.at(-1)).toMatch(/^\[orchd: the output is longer than 8 MiB;/);
    const isFree = ({ tasks }: { readonly tasks: readonly string[] }): boolean =>
      tasks.length === 0;
    const held = daemon.said.findLastIndex(({ type }) => type === "end");
    await daemon.heard("beat", (beat) => daemon.said.indexOf(beat) > held && isFree(beat));
    const adopt = { type: "adopt", id: "etl@1#2", heard: { stdout: 0, stderr: 0 } } as const;
    expect(await daemon.tell("w1", adopt)).toMatchObject({ type: "had" });
  });
});
