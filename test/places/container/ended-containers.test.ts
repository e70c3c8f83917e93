/** Containers whose steps have ended go together, and none before its step's end is durable. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { ContainersFolder } from "../../../src/places/container/container-files.ts";
import { EndedContainers } from "../../../src/places/container/ended-containers.ts";
import { Engine } from "../../../src/places/container/engine.ts";
import { silentLog } from "../../../src/log.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

function ended() {
  const clock = new VirtualClock();
  const engine = new Engine("podman", "4");
  const remove = vi.spyOn(engine, "remove").mockResolvedValue(undefined);
  const folder = new ContainersFolder(join(tempRoot().root, "containers"), "r");
  const containers = new EndedContainers({ clock, log: silentLog, folder });
  const end = (id: string): string => {
    const files = folder.begin(false, engine);
    containers.add(id, { files, container: { engine, state: { name: `c-${id}`, labels: {} } } });
    return files.folder;
  };
  return { clock, remove, containers, end };
}

it("removes by one command what ends within a second", async () => {
  const { clock, remove, containers, end } = ended();
  const folders = ["a", "b", "c"].map((id) => end(id));
  containers.settle(["a"]);
  await clock.advance(900);
  containers.settle(["b", "nothing of it"]);
  expect(remove).not.toHaveBeenCalled();
  await clock.advance(100);
  expect(remove.mock.calls).toEqual([[["c-a", "c-b"]]]);
  await vi.waitFor(() =>
    expect(folders.map((path) => existsSync(path))).toEqual([false, false, true]),
  );
  await clock.advance(10_000);
  containers.settle(["c"]);
  await clock.advance(1_000);
  expect(remove.mock.calls).toEqual([[["c-a", "c-b"]], [["c-c"]]]);
});

it("removes at once, as it is closed, what is durable, and nothing else", async () => {
  const { remove, containers, end } = ended();
  for (const id of ["a", "b"]) end(id);
  containers.settle(["a"]);
  await containers.close();
  expect(remove.mock.calls).toEqual([[["c-a"]]]);
});
