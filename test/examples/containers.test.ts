/** The example containers: three steps, in podman, and what is said of where they ran. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { linesOf } from "../support/await-event.ts";
import { containersOf, readyContainers, SKIP_CONTAINERS } from "../support/containers.ts";
import { orchd } from "../support/daemon.ts";
import { outcomeOf } from "../support/ledgers.ts";
import { TEST_IMAGE } from "../support/test-engine.ts";
import type { PlacesView } from "../../src/views/places.ts";
import type { RunView } from "../../src/views/run-view.ts";
import { edit, exampleRoot, linesOfType, runToEnd } from "./example-root.ts";

const IMAGE = "docker.io/library/busybox:1.36";

describe.skipIf(SKIP_CONTAINERS)("the example containers", () => {
  beforeAll(() => readyContainers(), 60_000);

  it("counts in containers, and says where each attempt ran", async () => {
    const root = exampleRoot("containers");
    // The test has an image of its own, which needs no registry.
    for (const step of ["count", "pack"])
      edit(root, "schedules/words.yaml", `${IMAGE} # of ${step}`, TEST_IMAGE);
    const run = await runToEnd(root, "words");
    expect(outcomeOf(run)).toBe("completed");
    expect(readFileSync(join(root.root, "counts/words.txt"), "utf8")).toBe(
      "12 house.txt\n7 place.txt\n",
    );
    expect(linesOf(run.path.replace(/jsonl$/, "log")).map(({ line }) => line)).toEqual([
      "counting house.txt",
      "12 house.txt",
      "counting place.txt",
      "7 place.txt",
      "packed 2 lines",
      "the package is whole",
    ]);
    expect(linesOfType(run, "step.placed").map(({ step, place }) => [step, place])).toEqual([
      ["count", "podman"],
      ["pack", "podman"],
    ]);
    const { steps } = (await orchd(root.root, "status", run.run, "--json")).json<RunView>();
    const refs = steps.map(({ placed }) => placed?.ref);
    expect(refs[2]).toBeUndefined();
    const { stdout } = await orchd(root.root, "status", run.run);
    expect(stdout).toMatch(new RegExp(`count +completed +1 +\\S+ +podman ${refs[0]} `));
    expect(stdout).toMatch(/tell +completed +1 +\S+ +- /);
    // Removed a moment after its end is told.
    await expect.poll(() => containersOf(root.runs), { timeout: 20_000 }).toEqual([]);
    const { places } = (await orchd(root.root, "places", "--json")).json<PlacesView>();
    expect(places.map(({ place }) => place)).toEqual(["local", "podman"]);
  });
});
