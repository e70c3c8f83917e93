/** Steps whose key cannot be known: they fail with a sentence, or run where no key is needed. */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { stepSpec } from "../support/given-run.ts";
import { moduleStep, RunBench } from "../support/run-bench.ts";

describe("a file dependency that cannot be read", () => {
  const run = async (enableCache: boolean, path: string) => {
    const bench = new RunBench({ functions: { a: () => 1 } });
    const file = join(dirname(bench.store.runsDir), "p.yaml");
    mkdirSync(join(dirname(file), "folder"), { recursive: true });
    const cache = { fileDependencies: [path], acrossSlots: false, includeStepCode: true };
    const step = moduleStep("a", { enableCache, cache: cache as never });
    const ended = await bench.run([step], {}, { file });
    const end = ended.lines.find(({ type }) => /^step\.(failed|completed)$/.test(type))!;
    return { status: ended.state.finished!.status, error: end["error"], folder: dirname(file) };
  };

  it.each([
    ["gone.csv", /^the file dependency gone\.csv .+ \(\/.+\/gone\.csv\)$/],
    ["folder", /^the file dependency folder .+ \(\/.+\/folder\)$/],
  ])("fails the step: %s", async (path, message) => {
    const { status, error } = await run(true, path);
    expect(status).toBe("failed");
    expect(error).toMatchObject({
      name: "FileDependencyError",
      message: expect.stringMatching(message) as string,
    });
  });

  it("fails the step, and nothing else, while the container's image is asked for", async () => {
    const bench = new RunBench();
    let told!: (id: string) => void;
    Object.assign(bench.pool, {
      capacity: () => ({ module: 1, shell: 1, container: 1 }),
      imageId: () => new Promise((resolve) => (told = resolve)),
    });
    const cache = { fileDependencies: ["gone.csv"], acrossSlots: false, includeStepCode: true };
    const container = { image: "i:1", pull: "missing" };
    const step = stepSpec("a", { enableCache: true, container, cache } as never);
    const ended = await bench.run([step], {}, { file: join(bench.store.runsDir, "p.yaml") });
    expect(ended.state.finished!.status).toBe("failed");
    expect(ended.lines.find(({ type }) => type === "step.failed")!["error"]).toMatchObject({
      name: "FileDependencyError",
      message: expect.stringContaining("gone.csv is not there") as string,
    });
    told("1".repeat(64));
  });

  it("is no matter where nothing is cached", async () => {
    expect(await run(false, "gone.csv")).toMatchObject({ status: "completed", error: undefined });
  });
});
