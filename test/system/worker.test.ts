/** Real workers on a real nats-server, with a real daemon: what goes right, and what goes wrong. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { BROKER_PROTOCOL } from "../../src/places/broker/messages.ts";
import { orchd } from "../support/daemon.ts";
import { countOf, Farm, hostsOf } from "../support/farm.ts";
import { NatsServer, SKIP_NATS } from "../support/nats-server.ts";
import { otherRelease } from "../support/other-release.ts";
import { natsPlace, WorkerProcess } from "../support/worker.ts";

/** A step that begins, waits until the effects say so, and ends. */
const WAITS = `
onInterruption: rerun
steps:
  one:
    on: farm
    run: |
      echo "begins $$" >> EFFECTS
      i=0; while ! grep -q '^go$' EFFECTS; do echo "line $i"; i=$((i+1)); sleep 0.05; done
      echo "ends $$" >> EFFECTS
      echo '[1]' > "$ORCHD_OUTPUT"
  two: { run: 'cat "$ORCHD_INPUTS"', inputs: { from: one } }
`;
const FAR = { timeout: 240_000 };

describe.skipIf(SKIP_NATS)("orchd worker", () => {
  it("says in a sentence why it does not start", async () => {
    const { root } = new WorkerProcess({ place: natsPlace("nats://127.0.0.1:1") });
    const refused = async (...words: string[]): Promise<[number | null, string]> => {
      const env = { CREDENTIALS_DIRECTORY: "" };
      const { status, stderr } = await orchd(root, "worker", ...words, { env });
      return [status, stderr];
    };
    expect(await refused()).toEqual([2, expect.stringContaining("Name the place that it serves")]);
    expect(await refused("--place", "none")).toEqual([
      2,
      expect.stringContaining('has no place "none": it has farm.'),
    ]);
    expect(await refused("--place", "farm", "--labels", "a b")).toEqual([
      2,
      expect.stringContaining('--labels: "a b" is no label'),
    ]);
    expect(await refused("--place", "farm", "--threads", "0")).toEqual([
      2,
      expect.stringContaining("--threads is 0: give a whole number from 1 to 256."),
    ]);
    expect(await refused("--place", "farm", "--name", "a.b")).toEqual([
      2,
      expect.stringContaining("is no worker's name"),
    ]);
    expect(await refused("--place", "farm", "--name", "w9")).toEqual([
      1,
      expect.stringContaining("The secret queue.key is not there"),
    ]);
  });

  it("removes what a killed worker's step left, and then starts", FAR, async () => {
    const place = natsPlace("nats://127.0.0.1:1");
    const first = new WorkerProcess({ place });
    await expect.poll(() => first.stderr, { timeout: 20_000 }).toContain("does not answer");
    await first.kill();
    const scratch = join(first.root, "runs/.orchd/workers/farm/w1/scratch");
    for (let n = 0; n < 200; n += 1)
      mkdirSync(join(scratch, `1-left/${n}/deep`), { recursive: true });
    const next = new WorkerProcess({ place, root: first.root });
    await expect
      .poll(() => `${next.process.exitCode} ${next.stderr}`, { timeout: 20_000 })
      .toMatch(/^null .*does not answer/);
    expect(readdirSync(scratch)).toEqual([]);
  });

  it("waits for its broker, and is alone of its name", FAR, async () => {
    const nats = await NatsServer.start();
    try {
      await nats.kill();
      const worker = new WorkerProcess({ place: natsPlace(nats.url) });
      await expect.poll(() => worker.stderr, { timeout: 20_000 }).toContain("does not answer");
      expect(worker.stdout).toBe("");
      await nats.begin();
      await worker.serves();
      expect(worker.stdout).toMatch(
        /^worker: w1 serves farm at nats:\/\/127\.0\.0\.1:\d+; no labels; \d+ threads?\n$/,
      );
      const second = new WorkerProcess({ place: natsPlace(nats.url), root: worker.root });
      expect(await second.ended).toBe(1);
      expect(second.stderr).toContain("A worker w1 serves farm already on this machine");
      worker.signal("SIGTERM");
      expect(await worker.ended).toBe(0);
    } finally {
      await nats.remove();
    }
  });

  it("runs modules and shells, with files both ways; no secret is at rest", FAR, async () => {
    const canary = "canary-8b1d";
    const farm = await Farm.start(
      {
        "schedules/p.yaml": `
steps:
  big: { uses: ./steps/big.mjs, on: [farm, gpu] }
  far: { uses: ./steps/size.mjs, on: gpu, inputs: { text: big } }
  near: { uses: ./steps/size.mjs, inputs: { text: big } }
  shell:
    on: gpu
    env: { WORD: { secret: word } }
    run: 'echo "the word is $WORD"; pwd; printf "%s" "$WORD" | wc -c > "$ORCHD_OUTPUT"'
`,
        "schedules/steps/big.mjs": `export default ({ log }) => {
          log.info("making");
          return "x".repeat(3e6);
        };`,
        "schedules/steps/size.mjs": `export default ({ inputs }) => inputs.text.length;`,
      },
      { secrets: { word: canary } },
    );
    const { process: worker } = await farm.worker("w1", { words: ["--labels", "gpu,linux"] });
    const lines = await farm.ended(await farm.run("p"));
    expect(lines.at(-1)).toMatchObject({ status: "completed" });
    const result = (step: string): unknown =>
      lines.find((line) => line.type === "step.completed" && line["step"] === step);
    expect(result("far")).toMatchObject({ outputs: { result: 3_000_000 } });
    expect(result("near")).toMatchObject({ outputs: { result: 3_000_000 } });
    expect(result("shell")).toMatchObject({ outputs: { result: canary.length } });
    for (const step of ["big", "far", "shell"]) expect(hostsOf(lines, step)).toEqual(["w1"]);
    expect(hostsOf(lines, "near")).toEqual([]);
    const printed = farm.log(String(lines[0]!["run"])).map(({ line }) => line);
    expect(printed).toContain("the word is ***");
    // Files of a step with secrets are in memory.
    expect(printed.find((line) => line.startsWith("/"))).toMatch(/^\/dev\/shm\/orchd-/);

    worker.signal("SIGTERM");
    await worker.ended;
    await farm.daemon.end();
    expect(filesHolding(farm.broker.folder, canary)).toEqual([]);
    expect(filesHolding(worker.root, canary)).toEqual([]);
    expect(worker.stderr + worker.stdout + farm.daemon.stderr()).not.toContain(canary);
  });

  it("finishes what it has on SIGTERM; on a second one it ends at once", FAR, async () => {
    const farm = await Farm.start({ "schedules/p.yaml": WAITS });
    const first = await farm.worker("w1");
    const run = await farm.run("p");
    await farm.until("begins");
    first.process.signal("SIGTERM");
    await sleep(300);
    const second = await farm.worker("w2");
    farm.release("go");
    expect(await first.process.ended).toBe(0);
    const lines = await farm.ended(run);
    expect(hostsOf(lines, "one")).toEqual(["w1"]);

    farm.release("again");
    const other = await Farm.start({ "schedules/p.yaml": WAITS });
    const third = await other.worker("w3");
    const long = await other.run("p");
    await other.until("begins");
    const at = performance.now();
    third.process.signal("SIGTERM");
    third.process.signal("SIGINT");
    expect(await third.process.ended).toBe(0);
    expect(third.process.processes()).toEqual([]);
    await other.worker("w4");
    await other.until("begins", 2, 10_000);
    expect(performance.now() - at).toBeLessThan(12_000);
    other.release("go");
    const again = await other.ended(long);
    expect(hostsOf(again, "one")).toEqual(["w3", "w4"]);
    expect(again.at(-1)).toMatchObject({ status: "completed" });
    second.process.signal("SIGTERM");
  });

  it("of another release gets no work: both sides say why, and nothing hangs", FAR, async () => {
    const farm = await Farm.start({ "schedules/p.yaml": WAITS });
    const program = otherRelease([
      [/type:"hello",protocol:\d+/, 'type:"hello",protocol:1'],
      [/\bVERSION ?= ?"[^"]*"/, 'VERSION="0.0.9"'],
      [/"version": "[^"]*"/, '"version": "0.0.9"'],
    ]);
    const because =
      `it speaks protocol 1 (orchd 0.0.9), and the daemon speaks ${BROKER_PROTOCOL}: ` +
      "install the same release on both";
    const { process: old } = await farm.worker("w1", { program });
    await expect
      .poll(() => old.stderr, { timeout: 60_000 })
      .toContain(`the daemon gives this worker no tasks: ${because}`);
    const run = await farm.run("p");
    const told = async (...words: string[]): Promise<string> =>
      (await orchd(farm.root.root, ...words)).stdout;
    await expect.poll(() => told("places"), { timeout: 60_000 }).toContain(because);
    await expect.poll(() => told("status", run), { timeout: 60_000 }).toContain(because);
    expect(farm.daemon.stderr()).toContain(`a worker gets no tasks: ${because}`);
    old.signal("SIGTERM");
    expect(await old.ended).toBe(0);
    await farm.worker("w1");
    await farm.until("begins");
    farm.release("go");
    expect((await farm.ended(run)).at(-1)).toMatchObject({ status: "completed" });
  });

  it(
    "that is renewed under its runners ends its step, and begins none until then",
    FAR,
    async () => {
      const farm = await Farm.start({
        "schedules/p.yaml": WAITS,
        "schedules/q.yaml": "steps:\n  one: { on: farm, uses: ./one.mjs }\n",
        "schedules/one.mjs": "export default () => 1;\n",
      });
      const program = otherRelease([]);
      const { process: worker } = await farm.worker("w1", { program });
      const first = await farm.run("p");
      await farm.until("begins");
      const manifest = join(dirname(program), "../../package.json");
      const text = readFileSync(manifest, "utf8");
      writeFileSync(manifest, text.replace(/"version": "[^"]*"/, '"version": "9.9.9"'));
      await expect
        .poll(() => worker.stderr, { timeout: 60_000 })
        .toContain("no step begins: orchd 9.9.9 was installed while this process is orchd");
      const told = async (): Promise<string> =>
        (await orchd(farm.root.root, "places")).stdout.replaceAll(/\s+/g, " ");
      await expect.poll(told, { timeout: 60_000 }).toContain("it was told to end");
      const second = await farm.run("q");
      farm.release("go");
      expect((await farm.ended(first)).at(-1)).toMatchObject({ status: "completed" });
      expect(countOf(farm.ledger(second), "step.started", "one")).toBe(0);
      writeFileSync(manifest, text);
      const lines = await farm.ended(second);
      expect(lines.at(-1)).toMatchObject({ status: "completed" });
      expect(countOf(lines, "step.interrupted", "one")).toBe(0);
      worker.signal("SIGTERM");
      expect(await worker.ended).toBe(0);
    },
  );

  it("with a wrong key or wrong credentials gets no work", FAR, async () => {
    const login = "authorization { users: [{ user: a, password: right }] }";
    const farm = await Farm.start(
      { "schedules/p.yaml": WAITS },
      {
        server: login,
        place: ", credentials: { secret: login }",
        secrets: { login: "a:right" },
      },
    );
    const stranger = new WorkerProcess({
      place: natsPlace(farm.broker.url, ", credentials: { secret: login }"),
      secrets: { login: "a:wrong-word" },
    });
    await expect
      .poll(() => stranger.stderr, { timeout: 20_000 })
      .toContain("refuses the credentials");
    expect(stranger.stderr).not.toContain("wrong-word");
    const deaf = await farm.worker("w2", {
      secrets: { login: "a:right", "queue.key": "5e".repeat(32) },
    });
    await expect
      .poll(() => deaf.process.stderr, { timeout: 20_000 })
      .toContain("no daemon answers");
    const run = await farm.run("p");
    await sleep(1_000);
    expect(countOf(farm.ledger(run), "step.placed", "one")).toBe(0);
    await farm.worker("w3");
    await farm.until("begins");
    farm.release("go");
    expect(hostsOf(await farm.ended(run), "one")).toEqual(["w3"]);
  });
});

/** The files below a folder that hold a text. */
function filesHolding(folder: string, text: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.endsWith("/secrets"))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(text));
}
