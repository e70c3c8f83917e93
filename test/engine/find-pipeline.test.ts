/** The file that a run without a daemon takes is the file that a daemon would have in force. */
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { InForce } from "../../src/core/name-holder.ts";
import { findPipeline } from "../../src/engine/find-pipeline.ts";
import { pipelineOf } from "../support/engine-rig.ts";
import { tempRoot } from "../support/temp-root.ts";

/** What a file says: its pipeline and its digest, or that it is bad. */
type Said = readonly [name: string, digest: string] | "bad";

async function found(
  files: Readonly<Record<string, Said>>,
  inForce?: InForce,
): Promise<{ readonly file: string | undefined; readonly read: string[] }> {
  const { schedules } = tempRoot({ "schedules/.keep": "" });
  for (const file of Object.keys(files)) writeFileSync(join(schedules, file), "");
  const read: string[] = [];
  const result = await findPipeline("x", {
    schedules,
    inForce,
    load: async (path) => {
      const file = basename(path);
      read.push(file);
      const said = files[file]!;
      if (said === "bad") return { ok: false, errors: [{ file, message: "bad" }], watched: [] };
      const [name, digest] = said;
      return { ok: true, loaded: pipelineOf(name, [], { digest, file: path }) };
    },
  });
  return { file: result.ok ? basename(result.loaded.file) : undefined, read };
}

it("a run without a daemon reads no folder, whatever its name", async () => {
  const { schedules } = tempRoot({ "schedules/x.yaml/steps.yaml": "" });
  const result = await findPipeline("x", {
    schedules,
    inForce: undefined,
    load: (path) => Promise.reject(new Error(`${path} was read`)),
  });
  expect(result).toMatchObject({ ok: false, reason: expect.stringContaining("no pipeline") });
});

describe("a run without a daemon takes", () => {
  const ledger = (file: string, digest: string, removed = false): InForce => ({
    file: `/elsewhere/${file}`,
    digest,
    removed,
  });

  it.each<[string, Readonly<Record<string, Said>>, InForce | undefined, string | undefined]>([
    ["the first by file name", { "a.yaml": ["x", "1"], "x.yaml": ["x", "2"] }, undefined, "a.yaml"],
    ["the only one that is good", { "a.yaml": "bad", "x.yaml": ["x", "2"] }, undefined, "x.yaml"],
    [
      "another one where its own is bad",
      { "x.yaml": "bad", "z.yaml": ["x", "2"] },
      undefined,
      "z.yaml",
    ],
    [
      "the one that was in force, whatever its name",
      { "a.yaml": ["x", "1"], "z.yaml": ["x", "2"] },
      ledger("z.yaml", "9"),
      "z.yaml",
    ],
    [
      "none while the one that was in force is bad",
      { "a.yaml": ["x", "1"], "z.yaml": "bad" },
      ledger("z.yaml", "9"),
      undefined,
    ],
    [
      "the one that says what the lost one said",
      { "a.yaml": ["x", "1"], "m.yaml": ["x", "9"], "z.yaml": ["x", "2"] },
      ledger("gone.yaml", "9"),
      "m.yaml",
    ],
    [
      "the first where none says that",
      { "a.yaml": ["x", "1"], "z.yaml": ["x", "2"] },
      ledger("gone.yaml", "9"),
      "a.yaml",
    ],
    [
      "the first where the pipeline was removed",
      { "a.yaml": ["x", "1"], "z.yaml": ["x", "9"] },
      ledger("z.yaml", "9", true),
      "a.yaml",
    ],
    ["none where none claims it", { "a.yaml": ["y", "1"] }, undefined, undefined],
  ])("%s", async (_what, files, inForce, file) => {
    expect((await found(files, inForce)).file).toBe(file);
  });

  it("the one in force without reading any other", async () => {
    const files = { "a.yaml": ["x", "1"], "z.yaml": ["x", "2"] } as const;
    expect((await found(files, ledger("z.yaml", "9"))).read).toEqual(["z.yaml"]);
  });
});
