/** What a run writes while its ledger's folder is not watched yet comes without a slow look. */
import type * as nodeFs from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { FeedHub } from "../../src/feed/feed-hub.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { WrittenWorld } from "./written-world.ts";

const seam = vi.hoisted(() => ({ watches: (_path: string): void => undefined }));
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof nodeFs>();
  const watch = ((path: string, options: object, hear: () => void) => {
    seam.watches(path);
    return fs.watch(path, options, hear);
  }) as typeof fs.watch;
  return { ...fs, default: { ...fs, watch }, watch };
});

it("comes to a feed that goes on where it was", async () => {
  const world = new WrittenWorld(join(tempRoot().root, "runs"));
  world.fire("p");
  const [run] = world.pipelines.get("p")!.active;
  const folder = world.store.runDir(run!);
  const before = new FeedHub(world.store);
  const { position } = before.subscribe();
  before.close();
  seam.watches = (path) => {
    if (path === folder) world.step("p");
  };
  // Its time stands still: no slow look.
  const hub = new FeedHub(world.store, { clock: new VirtualClock() });
  onTestFinished(() => hub.close());
  const feed = hub.subscribe({ from: position });
  const { value } = await feed[Symbol.asyncIterator]().next();
  expect(value).toMatchObject({ run, seq: 2 });
});

it("comes to a feed of one run that began before the folder of its month", async () => {
  const world = new WrittenWorld(join(tempRoot().root, "runs"));
  world.pipeline("p");
  const run = "p@20261128T000001Z";
  const hub = new FeedHub(world.store, { clock: new VirtualClock() }, { run });
  onTestFinished(() => hub.close());
  const first = hub.subscribe({ run })[Symbol.asyncIterator]().next();
  world.fire("p");
  expect(world.pipelines.get("p")!.active).toEqual([run]);
  expect((await first).value).toMatchObject({ run, seq: 1 });
});
