/**
 * Promise 22 for threads that steps share. Brief steps are sent ahead to a thread; one that ends
 * the thread, or makes it unfit, fails alone. Every sibling completes at its first attempt, and
 * runs exactly once.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { reached, trials } from "../support/figures.ts";
import { PoolRig, type Ended } from "../support/pool-rig.ts";

/**
 * What a bad step does, and the error that it must end with. One that `mayComplete` has no error,
 * unless its error comes in time.
 */
const BAD: Record<
  string,
  { readonly code: string; readonly ends: RegExp; readonly mayComplete?: true }
> = {
  exit: { code: "process.exit(3);", ends: /process\.exit\(3\)/ },
  rejects: {
    code: `void Promise.reject(new Error("mine")); return 1;`,
    ends: /mine.*nothing caught it/,
  },
  "rejects and throws": {
    code: `void Promise.reject(new Error("mine")); throw new Error("mine too");`,
    ends: /mine/,
  },
  "rejects and fails": {
    code: `void Promise.reject(new Error("mine")); return Promise.reject(new Error("mine too"));`,
    ends: /mine/,
  },
  "throws in a callback": {
    code: `setTimeout(() => { throw new Error("mine"); }, 1); return new Promise(() => {});`,
    ends: /mine.*nothing caught it/,
  },
  "throws after its end": {
    code: `setTimeout(() => { throw new Error("mine"); }, 0); return 1;`,
    ends: /mine.*nothing caught it/,
    mayComplete: true,
  },
  "fails after its end": {
    code: `void readFile("/nowhere/at/all"); return 1;`,
    ends: /ENOENT.*nothing caught it/,
    mayComplete: true,
  },
  "leaves a global": {
    code: `globalThis["left" + context.params.n] = 1; return 1;`,
    ends: /never/,
    mayComplete: true,
  },
};

const MODULE = (calls: string): string => `
import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
export default (context) => {
  const { kind, n } = context.params;
  switch (kind) {
${Object.entries(BAD)
  .map(([kind, { code }]) => `    case ${JSON.stringify(kind)}: { ${code} }`)
  .join("\n")}
  }
  appendFileSync(${JSON.stringify(calls)}, n + "\\n");
  return n;
};`;

const SIBLINGS = 20;

it("a bad step on a shared thread fails alone", { timeout: 600_000 }, async () => {
  const rig = new PoolRig({ threads: 4 });
  const calls = join(rig.folder, "calls");
  rig.module("steps", MODULE(calls));
  // After these the step is known to be brief.
  for (let n = 0; n < 5; n += 1) await rig.start("steps", { params: { n: `warm-${n}` } }).ended;
  const kinds = Object.keys(BAD);
  const rounds = trials(kinds.length * 2, 200);
  const faults: string[] = [];
  let [good, siblings] = [0, 0];
  for (let round = 0; round < rounds; round += 1) {
    const kind = kinds[round % kinds.length]!;
    const { ends, mayComplete = false } = BAD[kind]!;
    const wanted: string[] = [];
    const under: { readonly name: string; readonly ended: Promise<Ended> }[] = [];
    let bad: Promise<Ended> | undefined;
    for (let n = 0; n < SIBLINGS; n += 1) {
      if (n === (round * 7) % SIBLINGS)
        bad = rig.start("steps", { params: { kind, n: round } }).ended;
      const name = `${round}-${n}`;
      wanted.push(name);
      under.push({ name, ended: rig.start("steps", { params: { n: name } }).ended });
    }
    for (const { name, ended } of under) {
      const { result, death } = await ended;
      if (result?.ok === true && result.value === name) siblings += 1;
      else
        faults.push(
          `sibling ${name} beside a step that ${kind}: ${JSON.stringify(result ?? death)}`,
        );
    }
    const { result } = await bad!;
    const asWanted = result?.ok === true ? mayComplete : ends.test(result?.error.message ?? "");
    if (asWanted) good += 1;
    else faults.push(`the step of round ${round} that ${kind}: ${JSON.stringify(result)}`);
  }
  const count = new Map<string, number>();
  for (const name of readFileSync(calls, "utf8").trim().split("\n"))
    count.set(name, (count.get(name) ?? 0) + 1);
  for (const [name, times] of count) if (times !== 1) faults.push(`${name} ran ${times} times`);
  reached(22, "brief steps beside one that ends their thread", siblings, rounds * SIBLINGS);
  expect(faults).toEqual([]);
  expect([good, siblings]).toEqual([rounds, rounds * SIBLINGS]);
});
