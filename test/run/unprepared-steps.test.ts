/** Steps whose key cannot be known: they fail with a sentence, or run where no key is needed. */
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
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

  it("is no matter where nothing is cached", async () => {
    expect(await run(false, "gone.csv")).toMatchObject({ status: "completed", error: undefined });
  });
});
