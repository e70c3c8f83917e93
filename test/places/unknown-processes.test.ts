/** Processes of a container that its engine does not know: found by what is mounted, and ended. */
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { ContainersFolder } from "../../src/places/container/container-files.ts";
import { Engine } from "../../src/places/container/engine.ts";
import { endUnknown, processesWith } from "../../src/places/container/unknown-processes.ts";
import { PODMAN, podman, readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { tempRoot } from "../support/temp-root.ts";
import { TEST_IMAGE } from "../support/test-engine.ts";

describe.skipIf(SKIP_CONTAINERS)("processes of a container", () => {
  beforeAll(readyContainers);

  it("are those that have the attempt's folder, and are ended; others go on", async () => {
    const { root } = tempRoot();
    const folder = new ContainersFolder(root, "unknown");
    const [own, other] = [1, 2].map(() => folder.begin(false, new Engine("podman", "")));
    const names = [own!, other!].map(({ mounted }, index) => {
      const name = `orchd-unknown-${process.pid}-${index}`;
      onTestFinished(() => PODMAN.remove(name));
      const words = ["--detach", "--init", "--network=none", `--volume=${mounted}:/orchd`];
      podman("run", ...words, `--name=${name}`, TEST_IMAGE, "sleep", "1000");
      return name;
    });
    // The small init, and the command.
    expect(processesWith(own!.folder)).toHaveLength(2);
    expect(await endUnknown(own!.folder)).toBeUndefined();
    expect(processesWith(own!.folder)).toEqual([]);
    const { stdout } = podman("ps", "--format", "{{.Names}}", "--filter", `name=${names[1]}`);
    expect(stdout.trim()).toBe(names[1]);
  });
});
