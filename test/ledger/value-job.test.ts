/** What is asked of large values: the same answers on the thread and beside it, by one function. */
import { rmSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ArtifactRef } from "../../src/core/artifact-ref.ts";
import { contentHash } from "../../src/core/cache-key.ts";
import type { Json } from "../../src/core/snapshot.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { foldInTurns } from "../../src/ledger/folded-run.ts";
import { answerJob, AT_ONCE_BYTES, bytesOf, type ValueJob } from "../../src/ledger/value-job.ts";
import { completedRun, runPath, snapshot, writeRun } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";
const refOf = (bytes: number): ArtifactRef => ({ $artifact: "a".repeat(64), bytes });

function rig() {
  const { runs } = tempRoot();
  const artifacts = new Artifacts(join(runs, ".orchd/artifacts"));
  const put = async (value: Json): Promise<ArtifactRef> => ({ ...(await artifacts.put(value)) });
  return { runs, artifacts, put };
}

it("counts the bytes that a job reads: of files, and each that its values name", () => {
  const [one, two] = [refOf(10), { ...refOf(200), $artifact: "b".repeat(64) }];
  const outputs = { a: { ...one }, b: 1, c: { ...two }, d: { deep: { ...one } } };
  const stored = (of: Json) => ({ step: "s", outputs: of, inputs: {} });
  const holds = { kind: "holds", when: "1 == 1", params: {}, inputs: {}, step: "t" } as const;
  const jobs: [ValueJob, number][] = [
    [{ kind: "hashes", outputs: one }, 10],
    [{ kind: "whole", outputs: { ...two } }, 200],
    [{ kind: "whole", outputs }, 210],
    [{ kind: "whole", outputs: {} }, 0],
    [{ kind: "snapshot", ref: two }, 200],
    [{ ...holds, stored: [] }, 0],
    [{ ...holds, stored: [stored(outputs), stored({ ...one })] }, 220],
  ];
  for (const [job, bytes] of jobs) expect(bytesOf(job), JSON.stringify(job)).toBe(bytes);
});

describe("answers", () => {
  it("the hash of each output, of a spilled one by its name", async () => {
    const { artifacts, put } = rig();
    const inner = await put("large");
    const outputs = await put({ result: { b: 1, a: [2] }, large: { ...inner } });
    expect(answerJob({ kind: "hashes", outputs }, artifacts)).toEqual({
      result: contentHash({ a: [2], b: 1 }),
      large: inner.$artifact,
    });
    expect(contentHash({ a: 1 })).not.toBe(contentHash({ a: 2 }));
  });

  it.each(["all is there", "one is gone", "the outputs' own file is gone"])(
    "whether files are whole, and makes them young, where %s",
    async (state) => {
      const { artifacts, put } = rig();
      const [one, two] = [await put("one"), await put("two")];
      const members = { one: { ...one }, plain: 3, two: { ...two } };
      const own = await put(members);
      const paths = [one, two, own].map((ref) => artifacts.path(ref));
      for (const path of paths) utimesSync(path, 1, 1);
      if (state === "one is gone") rmSync(artifacts.path(two));
      if (state.startsWith("the")) rmSync(artifacts.path(own));
      const whole = (outputs: Json): boolean => answerJob({ kind: "whole", outputs }, artifacts);
      expect(whole({ ...own })).toBe(state === "all is there");
      expect(whole(members)).toBe(state !== "one is gone");
      const young = (path: string): boolean =>
        (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) > 1_000_000;
      expect(paths.every(young)).toBe(true);
    },
  );

  it("a condition, by params, by values in the line, and by values in files", async () => {
    const { artifacts, put } = rig();
    const outputs = await put({ n: 3, large: { ...(await put({ deep: "x" })) } });
    const holds = (when: string, inputs: { readonly [name: string]: string | null }) =>
      answerJob(
        {
          kind: "holds",
          when,
          params: { least: 2 },
          inputs: { own: 7 },
          step: "t",
          stored: [{ step: "s", outputs: { ...outputs }, inputs }],
        },
        artifacts,
      );
    const yes = holds("inputs.n > params.least && inputs.own == 7", { n: "n" });
    const no = holds("inputs.n < params.least", { n: "n" });
    expect(yes).not.toEqual(no);
    expect(holds("inputs.all.large.deep == 'x'", { all: null })).toEqual(yes);
    expect(() => holds("inputs.x == 1", { x: "nn" })).toThrow(
      'input "x" of step "t" is "s.nn", but step "s" has no output "nn"; it has n, large',
    );
  });
});

describe("the fold of a run whose snapshot is in a file", () => {
  const big = snapshot(
    "p",
    Object.fromEntries(Array.from({ length: 1_500 }, (_, n) => [`step-${n}`, [] as string[]])),
  ) as unknown as Json;
  const small = snapshot("p", { only: [] }) as unknown as Json;

  it.each<[string, Json, boolean]>([
    ["small", small, false],
    ["large", big, true],
  ])("has the whole of a %s one, read beside the daemon: %s", async (_, written, beside) => {
    const { runs, artifacts, put } = rig();
    const ref = await put(written);
    expect(ref.bytes > AT_ONCE_BYTES).toBe(beside);
    const [first, ...rest] = completedRun(RUN);
    writeRun(runs, RUN, [{ ...first!, snapshot: { ...ref } }, ...rest]);
    const asked: string[] = [];
    const values = {
      ask: (job: never) => {
        asked.push((job as ValueJob).kind);
        return Promise.resolve(answerJob(job, artifacts));
      },
    };
    const folded = await foldInTurns(runPath(runs, RUN), { artifacts, values } as never);
    expect(folded!.header.snapshot).toEqual(written);
    expect(folded!.state.snapshot).toEqual(written);
    expect(folded!.damaged).toBe(false);
    expect(asked).toEqual(beside ? ["snapshot"] : []);
    // Without a thread, large ones are read like small ones.
    const alone = await foldInTurns(runPath(runs, RUN), { artifacts });
    expect(alone!.header.snapshot).toEqual(written);
  });
});
