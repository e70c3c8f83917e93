/** What nobody waits for, and which resources are told of as they are made. */
import { open as openFile } from "node:fs/promises";
import { createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { UnrefWatch } from "../../src/steps/unref-watch.ts";

/** The member by which a watcher of Node is known to be at work. */
const HANDLE = "_handle";

it("hears of each file handle and watcher before the step has it", async () => {
  const made: object[] = [];
  const watch = new UnrefWatch((resource) => void made.push(resource));
  const promises = { open: openFile };
  watch.watchModule("fs/promises", promises);
  const handle = await promises.open(import.meta.filename, "r");
  onTestFinished(() => handle.close());
  expect(made).toEqual([handle]);
  await expect(promises.open("/nowhere/x", "r")).rejects.toMatchObject({ code: "ENOENT" });
  expect(made).toHaveLength(1);

  const handles = {
    watch: { [HANDLE]: {} as object | null },
    watchFile: { [HANDLE]: {} as object | null },
  };
  const fs = { watch: () => handles.watch, watchFile: () => handles.watchFile };
  watch.watchModule("fs", fs);
  expect([fs.watch(), fs.watchFile()]).toEqual([handles.watch, handles.watchFile]);
  expect(made.slice(1)).toEqual([handles.watch, handles.watchFile]);
  expect([watch.loud, watch.any]).toEqual([true, true]);
  // What a module set up while it was loaded is its own.
  watch.settle();
  expect([watch.loud, watch.any]).toEqual([false, true]);
  handles.watch[HANDLE] = null;
  handles.watchFile[HANDLE] = null;
  expect([watch.loud, watch.any]).toEqual([false, false]);
});

it("knows timers, immediates and promises of both until they are over", async () => {
  const watch = new UnrefWatch(() => undefined);
  const loud = (): boolean => watch.loud;
  const timer = setTimeout(() => undefined, 60_000);
  expect(loud()).toBe(false);
  timer.unref();
  expect(loud()).toBe(true);
  clearTimeout(timer);
  expect(loud()).toBe(false);
  timer.refresh();
  clearTimeout(timer);
  const immediate = setImmediate(() => undefined).unref();
  expect(loud()).toBe(true);
  clearImmediate(immediate);
  expect(loud()).toBe(false);

  let over!: () => void;
  const wait = () => new Promise<void>((resolve) => (over = resolve));
  const timers = {
    setTimeout: (_ms: number, _value: unknown, _options?: object) => wait(),
    setImmediate: (_value: unknown, _options?: object) => wait(),
  };
  watch.watchModule("timers/promises", timers);
  for (const begin of [
    (options?: object) => timers.setTimeout(1, undefined, options),
    (options?: object) => timers.setImmediate(undefined, options),
  ]) {
    void begin();
    void begin({ ref: true });
    expect(loud()).toBe(false);
    const promise = begin({ ref: false });
    expect([watch.loud, watch.any]).toEqual([true, true]);
    over();
    await promise;
    expect([watch.loud, watch.any]).toEqual([false, false]);
  }
});

it("knows a server after unref until it is closed", async () => {
  const watch = new UnrefWatch(() => undefined);
  watch.watchModule("net", await import("node:net"));
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  expect(watch.any).toBe(false);
  server.unref();
  expect(watch.loud).toBe(true);
  await new Promise((resolve) => server.close(resolve));
  expect(watch.loud).toBe(false);
});
