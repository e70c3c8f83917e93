/**
 * Brokers that answer and cannot do all that they should: full, emptied, with other passwords than
 * before. No step runs twice or is lost, and each trouble is a sentence where a person looks.
 */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { orchd } from "../support/daemon.ts";
import { countOf, Farm } from "../support/farm.ts";
import { SKIP_NATS } from "../support/nats-server.ts";
import { SKIP_REDIS } from "../support/redis-server.ts";
import { placeOn, WorkerProcess } from "../support/worker.ts";

const LONG = { timeout: 300_000 };
/** Modules with results that go by files, the same for several. */
const FILES = {
  "schedules/p.yaml": `
enableCache: false
steps:
  one: { uses: ./big.mjs, on: farm }
  two: { uses: ./big.mjs, on: farm }
  three: { uses: ./size.mjs, on: farm, inputs: { text: one } }
`,
  "schedules/big.mjs": `
import { appendFileSync } from "node:fs";
export default () => {
  appendFileSync("EFFECTS", "ran\\n");
  return "x".repeat(300_000);
};`,
  "schedules/size.mjs": "export default ({ inputs }) => inputs.text.length;",
};
/** A step that beats until it may end. */
const WAITS = {
  "schedules/p.yaml": `
onInterruption: rerun
steps:
  one:
    on: farm
    run: |
      echo "begins" >> EFFECTS
      while ! grep -q '^go$' EFFECTS; do sleep 0.1; done
      echo "ends" >> EFFECTS
`,
};

const places = async (farm: Farm): Promise<string> =>
  (await orchd(farm.root.root, "places")).stdout;

describe.skipIf(SKIP_REDIS)("Redis", () => {
  const cli = (farm: Farm, ...words: string[]): string =>
    execFileSync("redis-cli", ["-p", String(farm.broker.port), ...words], { encoding: "utf8" });

  it("that loses all that it keeps, again and again, costs no step", LONG, async () => {
    const farm = await Farm.start(FILES, { engine: "redis" });
    for (const name of ["w1", "w2"]) await farm.worker(name, { words: ["--threads", "2"] });
    let isOver = false;
    const losing = (async () => {
      for (let at = 0; !isOver; at += 1) {
        cli(farm, "FLUSHALL");
        await sleep(20 + 13 * (at % 7));
      }
    })();
    try {
      for (let round = 0; round < 8; round += 1) {
        const lines = await farm.ended(await farm.run("p"));
        expect(lines.at(-1)).toMatchObject({ status: "completed" });
        for (const step of ["one", "two", "three"])
          expect(countOf(lines, "step.started", step)).toBe(1);
      }
    } finally {
      isOver = true;
      await losing;
    }
    expect(farm.did()).toHaveLength(16);
  });

  it("whose memory is full holds up what needs files, says so, and goes on", LONG, async () => {
    const farm = await Farm.start(FILES, { engine: "redis" });
    const { process: worker } = await farm.worker("w1", { words: ["--threads", "2"] });
    await expect.poll(() => places(farm), { timeout: 60_000 }).toContain("takes work");
    cli(farm, "CONFIG", "SET", "maxmemory", "1");
    const run = await farm.run("p");
    const full = /keeps no objects \(OOM .*\): its memory is full: raise its maxmemory$/m;
    await expect
      .poll(() => farm.daemon.stderr(), { timeout: 60_000 })
      .toMatch(/its memory is full/);
    await expect.poll(() => places(farm), { timeout: 60_000 }).toMatch(full);
    const late = new WorkerProcess({ place: placeOn("redis", farm.broker.url), name: "w2" });
    await expect.poll(() => late.stderr, { timeout: 60_000 }).toMatch(/its memory is full/);
    cli(farm, "CONFIG", "SET", "maxmemory", "0");
    // A worker that waits for a file asks again after a minute.
    const lines = await farm.ended(run, 150_000);
    expect(lines.at(-1)).toMatchObject({ status: "completed" });
    expect(farm.did()).toHaveLength(2);
    expect(worker.stderr.split("\n").filter((line) => line.includes("memory")).length).toBeLessThan(
      3,
    );
    await expect.poll(() => places(farm), { timeout: 60_000 }).toContain("takes work");
  });

  it.each([
    ["for a moment", 800, 1],
    ["for long", 9_000, 2],
  ] as const)("that is killed %s costs no step", LONG, async (_, downMs, begins) => {
    const farm = await Farm.start(WAITS, { engine: "redis" });
    await farm.worker("w1");
    const run = await farm.run("p");
    await farm.until("begins");
    await farm.broker.kill();
    await sleep(downMs);
    await farm.broker.begin();
    if (begins === 2) await farm.until("begins", 2, 40_000);
    farm.release("go");
    expect((await farm.ended(run)).at(-1)).toMatchObject({ status: "completed" });
    expect(farm.did().filter((line) => line === "ends")).toHaveLength(1);
    expect(farm.did().filter((line) => line === "begins")).toHaveLength(begins);
  });
});

describe.skipIf(SKIP_NATS)("NATS", () => {
  it(
    "whose password is another one says so, and the step runs again with the old",
    LONG,
    async () => {
      const login = "authorization { users: [{ user: a, password: right }] }";
      const farm = await Farm.start(WAITS, {
        server: login,
        place: ", credentials: { secret: login }",
        secrets: { login: "a:right" },
      });
      const { process: worker } = await farm.worker("w1");
      const run = await farm.run("p");
      await farm.until("begins");
      farm.broker.change((text) => text.replace("right", "other"));
      const refused = /the broker at nats:\S+ refuses the credentials/;
      await expect.poll(() => farm.daemon.stderr(), { timeout: 60_000 }).toMatch(refused);
      await expect.poll(() => worker.stderr, { timeout: 60_000 }).toMatch(refused);
      await expect.poll(() => places(farm), { timeout: 60_000 }).toMatch(refused);
      await expect.poll(() => worker.processes(), { timeout: 60_000 }).toEqual([]);
      farm.broker.change((text) => text.replace("other", "right"));
      await farm.until("begins", 2, 40_000);
      farm.release("go");
      const lines = await farm.ended(run);
      expect(lines.at(-1)).toMatchObject({ status: "completed" });
      process.stdout.write(`${farm.daemon.stderr()}\n---\n${worker.stderr}\n`);
    },
  );

  it("whose disk is full holds up what needs files, says so, and goes on", LONG, async () => {
    const farm = await Farm.start(FILES, {
      server: 'jetstream { store_dir: "FOLDER/js", max_file: 100KB }',
    });
    const { process: worker } = await farm.worker("w1", { words: ["--threads", "2"] });
    const run = await farm.run("p");
    const full = /keeps no objects \([^)]*\): give its JetStream more room/;
    await expect.poll(() => worker.stderr, { timeout: 60_000 }).toMatch(full);
    await expect
      .poll(() => farm.log(run).map(({ line }) => line), { timeout: 60_000 })
      .toContainEqual(
        expect.stringMatching(/^its result waits: the broker at .* keeps no objects/),
      );
    await farm.broker.kill();
    farm.broker.change((text) => text.replace("100KB", "100MB"));
    await farm.broker.begin();
    const lines = await farm.ended(run);
    expect(lines.at(-1)).toMatchObject({ status: "completed" });
    expect(farm.did()).toHaveLength(2);
  });
});
