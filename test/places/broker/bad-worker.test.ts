/** A worker that has the key and is broken, or lies: it harms its own task at most. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { ModuleTask, OutputLine, TaskResult } from "../../../src/core/task.ts";
import type { DeathInfo } from "../../../src/places/place.ts";
import {
  BROKER_PROTOCOL,
  PATIENCE_MS,
  type FromWorker,
  type ToWorker,
} from "../../../src/places/broker/messages.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { FarmWorld } from "./farm-world.ts";

const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
const BUNDLE = "export const run = () => 1;\n";
const ME = { worker: "liar", incarnation: "i" };

/** A place with one worker, which says whatever the test wants. */
async function lied() {
  const world = new FarmWorld();
  const { root } = tempRoot();
  const [bundles, artifacts] = [join(root, "bundles"), join(root, "artifacts")];
  mkdirSync(bundles);
  mkdirSync(artifacts);
  writeFileSync(join(bundles, `${sha(BUNDLE)}.mjs`), BUNDLE);
  writeFileSync(join(bundles, `${sha(BUNDLE)}.mjs.map`), "{}");
  writeFileSync(join(artifacts, sha('"an input"')), '"an input"');
  world.beginDaemon("/root", bundles);
  const line = world.line("liar");
  const given: ToWorker[] = [];
  line.hear((message) => {
    given.push(message);
    return { type: "taken" };
  });
  const settled = async <T>(work: Promise<T>): Promise<T | string> => {
    let isOver = false;
    const caught = work.catch((error: unknown) => (error as Error).name);
    void caught.finally(() => (isOver = true));
    // Files are read and written meanwhile: time goes no faster than they do.
    for (; !isOver; await sleep(1)) await world.clock.advance(5);
    return caught;
  };
  const say = (message: FromWorker, timeoutMs = 500) => settled(line.ask(message, timeoutMs));
  const beat = (tasks: readonly string[] = []) =>
    say({
      type: "beat",
      ...ME,
      protocol: BROKER_PROTOCOL,
      version: "1",
      node: "20",
      platform: "linux/x64",
      labels: [],
      threads: 4,
      cores: 2,
      tasks,
      leaving: false,
    });
  // From now on the daemon knows what it does not want.
  await world.clock.advance(PATIENCE_MS);
  await beat();
  const heard = {
    done: [] as TaskResult[],
    died: [] as DeathInfo[],
    output: [] as OutputLine[],
    placed: 0,
  };
  const start = async (id: string): Promise<void> => {
    const ref = { $artifact: sha('"an input"'), bytes: 10 };
    const task: ModuleTask = {
      kind: "module",
      isolated: false,
      code: { bundle: sha(BUNDLE), pick: "run", source: "x.ts" },
      run: { id: "r", pipeline: "p", attempt: 2 },
      step: "a",
      env: {},
      gracePeriodMs: 1,
      params: {},
      inputs: {},
      on: ["farm"],
      artifacts,
      stored: [{ step: "b", outputs: { x: ref }, inputs: { x: "x" } }],
    };
    world.place.start(id, task, {
      done: (result) => {
        heard.done.push(result);
        world.clock.after(5, () => world.place.settle([id]));
      },
      died: (info) => void heard.died.push(info),
      output: (lines) => void heard.output.push(...lines),
      placed: () => void (heard.placed += 1),
    });
    await world.clock.advance(10);
  };
  const claim = (id: string) => say({ type: "claim", ...ME, id });
  const end = (id: string, result: TaskResult, batches = 0) =>
    settled(
      line.ask(
        {
          type: "end",
          worker: "liar",
          id,
          batches,
          end: { kind: "result", result, durationMs: 1 },
        },
        5_000,
      ),
    );
  return { world, line, say, settled, beat, start, claim, end, heard, given, artifacts, bundles };
}

describe("a worker that is broken or lies", () => {
  it("gets no yes for a task that is not its own, is over, or never was", async () => {
    const { start, claim, end, beat, heard } = await lied();
    expect(await claim("never")).toMatchObject({ type: "no" });
    expect(await end("never", { ok: true, value: 1 })).toMatchObject({ type: "no" });
    await start("r#1");
    expect(await claim("r#1")).toEqual({ type: "yes" });
    expect(await claim("r#1")).toEqual({ type: "yes" });
    expect(await end("r#1", { ok: true, value: 1 })).toEqual({ type: "yes" });
    expect(await claim("r#1")).toMatchObject({ type: "no" });
    expect(heard).toMatchObject({ done: [{ ok: true, value: 1 }], died: [], placed: 1 });
    expect(await beat(["r#1", "other"])).toEqual({ type: "beat", unwanted: ["r#1", "other"] });
  });

  it("may say the end of its own task without a claim, once", async () => {
    const { start, claim, end, heard } = await lied();
    await start("r#1");
    expect(await end("r#1", { ok: true, value: 1 })).toEqual({ type: "yes" });
    expect(await claim("r#1")).toMatchObject({ type: "no" });
    expect(await end("r#1", { ok: true, value: 2 })).toMatchObject({ type: "no" });
    expect(heard).toMatchObject({ done: [{ ok: true, value: 1 }], died: [], placed: 1 });
  });

  it("cannot speak for other steps, nor without end", { timeout: 30_000 }, async () => {
    const { start, claim, say, heard } = await lied();
    await start("r#1");
    await claim("r#1");
    const line = {
      at: "x",
      step: "other",
      attempt: 9,
      stream: "stdout",
      line: "z".repeat(500_000),
    };
    const lines = [line] as OutputLine[];
    for (let number = 0; number < 30; number += 1)
      await say({ type: "output", worker: "liar", id: "r#1", number, lines });
    expect(heard.output.every(({ step, attempt }) => step === "a" && attempt === 2)).toBe(true);
    const length = heard.output.reduce((sum, { line: text }) => sum + text.length, 0);
    expect(length).toBeLessThan(10_000_000);
    expect(length).toBeGreaterThan(8_000_000);
    const missing = { type: "output", worker: "liar", id: "r#1", number: 77, lines } as const;
    expect(await say(missing)).toMatchObject({ type: "no" });
    const count = heard.output.length;
    expect(await say({ ...missing, number: 3 })).toEqual({ type: "yes" });
    expect(heard.output.length).toBe(count);
  });

  it("fails its own task with a result whose files are not what they should be", async () => {
    const { start, claim, end, heard, line, artifacts, settled } = await lied();
    const hash = sha("what it says");
    const ref = { $artifact: hash, bytes: 12 };
    const big = { $artifact: hash, bytes: 100_000_000 };
    const results: [string, typeof ref | typeof big, boolean][] = [
      ["r#1", ref, false],
      ["r#2", ref, true],
      ["r#3", { ...ref, bytes: 13 }, true],
      ["r#4", big, true],
    ];
    for (const [id, said, isPut] of results) {
      await start(id);
      await claim(id);
      if (isPut) await settled(line.putFile(hash, Buffer.from("another text")));
      const staged = { value: { result: said }, files: [{ ref: said, file: hash }] };
      const ask = (): Promise<unknown> => end(id, { ok: true, staged });
      if (!isPut)
        for (let asked = 0; asked < 5; asked += 1)
          expect(await ask()).toEqual({ type: "lacks", hash });
      await ask();
    }
    const messages = heard.done.map((result) => (result.ok ? "ok" : result.error));
    const whole = "its result did not come whole from its worker: ";
    expect(messages).toEqual(
      [
        "a file of it is not at the broker",
        "a file of it is not what its sha256 says",
        "a file of it is not what its sha256 says",
        "it says that it has 100000000 bytes",
      ].map((text) => ({ name: "PlaceError", message: whole + text, code: "ORCHD_PLACE" })),
    );
    expect(readdirSync(artifacts)).toEqual([sha('"an input"')]);
  });

  it("gives large results in files, which are removed from the broker", async () => {
    const { world, start, claim, end, heard, line, settled } = await lied();
    await start("r#1");
    await claim("r#1");
    const text = JSON.stringify("long".repeat(100_000));
    await settled(line.putFile(sha(text), Buffer.from(text)));
    expect(world.engine.objects.size).toBe(1);
    const ref = { $artifact: sha(text), bytes: text.length };
    await end("r#1", { ok: true, staged: { value: ref, files: [{ ref, file: sha(text) }] } });
    const [result] = heard.done as [TaskResult];
    expect("staged" in result && result.staged.value).toEqual(ref);
    const [file] = "staged" in result ? result.staged.files : [];
    expect(readFileSync(file!.file, "utf8")).toBe(text);
    await world.clock.advance(10);
    expect(world.engine.objects.size).toBe(0);
  });

  it("gets a source map that names the daemon's own files", async () => {
    const { world, start, given, line, bundles, settled } = await lied();
    const path = join(bundles, `${sha(BUNDLE)}.mjs.map`);
    writeFileSync(path, JSON.stringify({ version: 3, sources: ["../steps/it.ts"] }));
    await start("r#1");
    const [give] = given as [Extract<ToWorker, { type: "give" }>];
    const content = (await settled(line.getFile(give.map!))) as Uint8Array;
    const text = Buffer.from(content).toString();
    expect(sha(text)).toBe(give.map);
    expect((JSON.parse(text) as { sources: string[] }).sources).toEqual([
      join(bundles, "..", "steps", "it.ts"),
    ]);
    expect(world.engine.objects.size).toBeGreaterThan(0);
  });

  it("gets the files of its own tasks, and no others", async () => {
    const { world, start, given, line, bundles, settled } = await lied();
    await start("r#1");
    const [give] = given as [Extract<ToWorker, { type: "give" }>];
    const code = `${BUNDLE}\n// source map: ${sha("{}")}\n`;
    expect(give.files).toEqual([sha(code), sha("{}"), sha('"an input"')]);
    expect(give.map).toBe(sha("{}"));
    expect(world.engine.objects.size).toBe(0);
    const got = async (hash: string): Promise<string | undefined> => {
      const content = (await settled(line.getFile(hash))) as Uint8Array | undefined;
      return content === undefined ? undefined : Buffer.from(content).toString();
    };
    expect(await got(sha(code))).toBe(code);
    expect(await got(sha('"an input"'))).toBe('"an input"');
    writeFileSync(join(bundles, `${sha("secret")}.mjs`), "secret");
    expect(await got(sha("secret"))).toBeUndefined();
    expect(world.engine.objects.size).toBe(2);
    await world.clock.advance(301_000);
    expect(world.engine.objects.size).toBe(0);
  });

  it("is answered nothing where it says nonsense, and the log says so", async () => {
    const { world, start, claim, say, heard, beat } = await lied();
    await start("r#1");
    await claim("r#1");
    const nonsense = [
      { type: "what" },
      { type: "beat", ...ME, tasks: "all" },
      { type: "end", worker: "liar", id: "r#1", batches: 0, end: { kind: "result", result: 7 } },
      { type: "end", worker: "liar", id: "r#1", batches: -1, end: {} },
      { type: "output", worker: "liar", id: "r#1", number: 0, lines: [{ line: 7 }] },
      { type: "lack", worker: "liar", hash: "../../etc/passwd" },
      { type: "claim", worker: "li.ar", incarnation: "i", id: "r#1" },
    ];
    for (const message of nonsense)
      expect(await say(message as unknown as FromWorker)).toBe("BrokerSilence");
    world.engine.connect().send("orchd.farm.test.hello", Buffer.from("not sealed"));
    for (const at of ["hello", `daemon.${world.rootName}`])
      await Promise.all([world.ask(at, []).catch(() => 0), world.clock.advance(1_100)]);
    await beat(["r#1"]);
    expect(heard).toMatchObject({ done: [], died: [], output: [] });
    expect(world.faults.join("\n")).toContain("is not sealed as orchd seals");
    expect(world.faults.join("\n")).toContain(
      "it is not what a worker says: message.type is wrong",
    );
    expect(world.faults.join("\n")).toContain("it is not a hello: the whole is wrong");
  });

  it("loses its task when a later list does not name it", async () => {
    const { start, claim, beat, heard } = await lied();
    await start("r#1");
    await claim("r#1");
    await beat(["r#1"]);
    expect(heard.died).toEqual([]);
    await beat();
    expect(heard.died).toMatchObject([
      { blameless: "lost", because: "the worker liar does not have it any more" },
    ]);
  });
});
