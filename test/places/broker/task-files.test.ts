/** The files of tasks on their way to workers, by their hash. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { ModuleTask, Task } from "../../../src/core/task.ts";
import { Seal } from "../../../src/places/broker/seal.ts";
import { SealedBroker } from "../../../src/places/broker/sealed-broker.ts";
import { TaskFiles, type SentTask } from "../../../src/places/broker/task-files.ts";
import { fileObject } from "../../../src/places/broker/worker-line.ts";
import { farBundleFault } from "../../../src/places/pool/far-bundle.ts";
import { FileCache } from "../../../src/worker/file-cache.ts";
import { plainModule } from "../../support/plain-module.ts";
import { PlayedEngine } from "../../support/played-broker.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const TASK = plainModule();

/** A broker, one worker's cache, and roots beside each other. */
function rig() {
  const clock = new VirtualClock();
  const engine = new PlayedEngine(clock);
  const cache = new FileCache(tempRoot().root);
  /** Files are read by this machine's time, and the broker has the played one. */
  const soon = async <T>(done: Promise<T>): Promise<T> => {
    let isOver = false;
    const over = (): void => void (isOver = true);
    done.then(over, over);
    while (!isOver) {
      await nextTurn();
      await clock.advance(1);
    }
    return done;
  };
  const sealed = (): SealedBroker =>
    new SealedBroker(engine.connect(), new Seal("6f".repeat(32)), "t", clock, (fault) =>
      expect.fail(fault),
    );
  const worker = sealed();
  const rootOf = (source: string) => {
    const folder = tempRoot().root;
    const path = join(folder, "code.mjs");
    const map = (mappings: string): void =>
      writeFileSync(`${path}.map`, JSON.stringify({ sources: [source], mappings }));
    writeFileSync(path, "export default 1;\n");
    map("AAAA");
    return { files: new TaskFiles(sealed(), clock, folder, () => undefined), map, folder };
  };
  /** A task's files come to the worker. @returns what its source map says there */
  const have = async (files: TaskFiles, { task, files: all, map }: SentTask): Promise<unknown> => {
    const { bundle } = (task as ModuleTask).code;
    for (const file of all) {
      await soon(files.put(file));
      const get = (): Promise<Buffer | undefined> => worker.get(fileObject(file.hash));
      const mapOf = file.hash === map ? bundle : undefined;
      await soon(cache.use(mapOf === undefined ? "bundle" : "artifact", file.hash, get, mapOf));
    }
    return mapAt(bundle);
  };
  const mapAt = (bundle: string): unknown =>
    JSON.parse(readFileSync(join(cache.bundles, `${bundle}.mjs.map`), "utf8"));
  return { clock, engine, rootOf, have, mapAt, soon };
}

describe("the artifacts of earlier steps", () => {
  const of = (digit: string) => ({ $artifact: digit.repeat(64), bytes: 100_000 });
  const hashesOf = (text: string): string[] => {
    const artifacts = tempRoot().root;
    writeFileSync(join(artifacts, of("a").$artifact), text);
    const task: Task = {
      kind: "shell",
      shell: ["/bin/sh"],
      cwd: "",
      text: "true",
      params: {},
      inputs: {},
      run: TASK.run,
      step: "it",
      env: {},
      gracePeriodMs: 300,
      artifacts,
      stored: [
        { step: "s", inputs: {}, outputs: of("a") },
        { step: "t", inputs: {}, outputs: { one: of("b"), two: 7 } },
      ],
    };
    return rig()
      .rootOf("/a.ts")
      .files.of(task)
      .files.map(({ hash }) => hash[0]!);
  };

  it("are sent with those that they hold themselves", () => {
    expect(hashesOf(JSON.stringify({ x: of("c"), y: "z", w: of("d") }))).toEqual([..."acdb"]);
    expect(hashesOf(JSON.stringify({ x: [of("c")] }))).toEqual([..."ab"]);
    expect(hashesOf(JSON.stringify("text"))).toEqual([..."ab"]);
  });
});

describe("a bundle that two roots have, of different files,", () => {
  it("has the source map of each root beside it at one worker", async () => {
    const { rootOf, have, mapAt } = rig();
    const [one, other] = [rootOf("/one/a.ts"), rootOf("/two/a.ts")];
    const sent = one.files.of(TASK);
    expect(await have(one.files, sent)).toMatchObject({ sources: ["/one/a.ts"] });
    const second = other.files.of(TASK);
    expect(await have(other.files, second)).toMatchObject({ sources: ["/two/a.ts"] });
    expect(mapAt((sent.task as ModuleTask).code.bundle)).toMatchObject({ sources: ["/one/a.ts"] });
  });

  it("has the newest map of a root, and never one that is not what its hash says", async () => {
    const { clock, rootOf, have, soon } = rig();
    const { files, map } = rootOf("/one/a.ts");
    const before = files.of(TASK);
    map("AACA;");
    // A look counts for a moment.
    await clock.advance(9);
    expect(files.of(TASK).map).toBe(before.map);
    await clock.advance(1);
    expect(files.of(TASK).map).not.toBe(before.map);
    const old = before.files.find(({ hash }) => hash === before.map)!;
    await expect(soon(files.put(old))).rejects.toThrow("has changed since the task was given");
    expect(await have(files, files.of(TASK))).toMatchObject({ mappings: "AACA;" });
  });
});

it("a bundle that only this machine can run is refused as by every place", () => {
  const folder = tempRoot().root;
  writeFileSync(join(folder, "code.mjs"), 'import pad from "file:///r/node_modules/pad/i.js";\n');
  const clock = new VirtualClock();
  const broker = new SealedBroker(
    new PlayedEngine(clock).connect(),
    new Seal("6f".repeat(32)),
    "t",
    clock,
    (fault) => expect.fail(fault),
  );
  expect(() => new TaskFiles(broker, clock, folder, farBundleFault).of(TASK)).toThrow(
    expect.objectContaining({
      name: "PlaceError",
      code: "ORCHD_PLACE",
      message: expect.stringContaining("needs the package pad") as string,
    }),
  );
});

describe("a file that was put", () => {
  const MINUTES = 60_000;

  it("stays for five minutes after it was last asked for, and is put again then", async () => {
    const { clock, engine, rootOf, soon } = rig();
    const { files } = rootOf("/a.ts");
    const [file] = files.of(TASK).files;
    const put = (): Promise<void> => soon(files.put(file!));
    await put();
    const began = clock.monotonic();
    await clock.advance(began + 4 * MINUTES - clock.monotonic());
    await put();
    await clock.advance(began + 8 * MINUTES - clock.monotonic());
    expect(engine.objects.size).toBe(1);
    await clock.advance(2 * MINUTES);
    expect([engine.objects.size, clock.timers]).toEqual([0, 0]);
    await put();
    expect([engine.objects.size, engine.put.length]).toEqual([1, 3]);
    await soon(files.close());
    expect([engine.objects.size, clock.timers]).toEqual([0, 0]);
    await soon(files.close());
  });

  it("is put once for all that ask at the same time, and is read again the next time", async () => {
    const { engine, rootOf, soon, clock } = rig();
    const { files, folder } = rootOf("/a.ts");
    const [file] = files.of(TASK).files;
    await soon(Promise.all([files.put(file!), files.put(file!), files.put(file!)]));
    expect([engine.put.length, clock.timers]).toEqual([1, 1]);
    writeFileSync(join(folder, "code.mjs"), "export default 2;\n");
    await expect(soon(files.put(file!))).rejects.toThrow("has changed since the task was given");
    await soon(files.close());
  });
});
