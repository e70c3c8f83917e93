/**
 * `orchd rerun` and `orchd diff` with a real daemon. Both go by content, never by position
 * (semantics.md 0 and 26).
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { orchd, startDaemon, type Daemon } from "../support/daemon.ts";
import { runsOf } from "../support/ledgers.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";

interface Shown {
  readonly run: string;
  readonly status: string;
  readonly steps: readonly {
    readonly step: string;
    readonly status: string;
    readonly because: string;
  }[];
}

let root: TempRoot;
let daemon: Daemon;

beforeAll(async () => {
  root = tempRoot();
  root.linkPackages();
  root.write(
    "schedules/steps/note.ts",
    `import { appendFileSync, existsSync } from "node:fs";
export const note = (name: string) => appendFileSync("${root.root}/ran.txt", name + "\\n");
export const mayPass = () => existsSync("${root.root}/pass");
`,
  );
  daemon = await startDaemon({ root: root.root });
});
afterAll(() => daemon.end());
beforeEach(() => rmSync(join(root.root, "pass"), { force: true }));

/** Asks for a run, and gives which of its steps ran and why each did or did not. */
async function ask(...words: string[]) {
  const noted = join(root.root, "ran.txt");
  rmSync(noted, { force: true });
  const asked = await orchd(root.root, ...words, "--wait", "--json");
  expect(asked.stdout, asked.stderr).toContain('"steps"');
  const shown = asked.json<Shown>();
  const ran = existsSync(noted) ? readFileSync(noted, "utf8").trim().split("\n").sort() : [];
  return {
    run: shown.run,
    status: shown.status,
    ran,
    why: Object.fromEntries(shown.steps.map((step) => [step.step, step.because])),
  };
}

it("takes over what is still valid; runs what failed, was edited, or follows a step", async () => {
  const a = (text: string): string =>
    `import { note } from "./note.ts";
export default () => (note("a"), ${JSON.stringify(text)});
`;
  root.write("schedules/steps/a.ts", a("one"));
  root.write(
    "schedules/steps/b.ts",
    `import { mayPass, note } from "./note.ts";
export default ({ inputs }: any) => {
  note("b");
  if (!mayPass()) throw new Error("not yet");
  return inputs.x.length;
};
`,
  );
  root.write(
    "schedules/steps/c.ts",
    `import { note } from "./note.ts";
export default ({ inputs }: any) => (note("c"), inputs.n);
`,
  );
  root.write(
    "schedules/p.yaml",
    `steps:
  a: { uses: ./steps/a.ts }
  side: { run: 'echo side >> ${root.root}/ran.txt' }
  b: { uses: ./steps/b.ts, inputs: { x: a } }
  c: { uses: ./steps/c.ts, inputs: { n: b } }
`,
  );
  const first = await ask("run", "p");
  expect(first).toMatchObject({ status: "failed", ran: ["a", "b", "side"] });

  writeFileSync(join(root.root, "pass"), "");
  const healed = await ask("rerun", first.run, "--failed");
  expect(healed).toMatchObject({ run: `${first.run}-r1`, status: "completed", ran: ["b", "c"] });
  expect(healed.why["side"]).toBe(`taken over from ${first.run}`);

  const fromB = await ask("rerun", healed.run, "--from", "b");
  expect(fromB.ran).toEqual(["b", "c"]);
  expect(fromB.why["c"]).toContain('the re-run is from step "b" on');

  // Edited: only what changed runs, and what its new result changes. "two" is as long as "one", so
  // b gives the same result and c does not run.
  root.write("schedules/steps/a.ts", a("two"));
  const frozen = await ask("rerun", healed.run, "--failed");
  expect(frozen.ran).toEqual([]);
  const edited = await ask("rerun", healed.run, "--failed", "--edited");
  expect(edited).toMatchObject({ status: "completed", ran: ["a", "b"] });
  expect(edited.why["a"]).toContain("code changed");
  expect(edited.why["b"]).toContain('input "x" changed');

  const diff = (await orchd(root.root, "diff", healed.run, edited.run, "--json")).json<{
    steps: { step: string; ranAnew: boolean; changes: string[] }[];
  }>();
  expect(
    Object.fromEntries(diff.steps.map(({ step, ranAnew, changes }) => [step, [ranAnew, changes]])),
  ).toEqual({
    a: [true, ["code changed"]],
    b: [true, ['input "x" changed']],
    c: [false, []],
    side: [false, []],
  });

  // The code of the first run is removed, as after pruning.
  const header = runsOf(root.runs, "p")[0]!.lines[0] as unknown as {
    snapshot: { steps: { id: string; code?: { bundle: string } }[] };
  };
  const { bundle } = header.snapshot.steps.find(({ id }) => id === "a")!.code!;
  rmSync(join(root.runs, ".orchd/bundles", `${bundle}.mjs`));
  const pruned = await orchd(root.root, "rerun", first.run);
  expect(pruned.status).toBe(5);
  expect(pruned.stderr).toMatch(/the code that run .* ran was pruned .* use --edited/);
}, 90_000);

it("runs a dynamic function again; valid calls answer from the run before", async () => {
  root.write(
    "schedules/d.ts",
    `import { dynamicPipeline, step } from "orchd";
import { mayPass, note } from "./steps/note.ts";
export const list = step(() => (note("list"), [1, 2]), { enableCache: false });
export const twice = step(({ inputs: { n } }: { inputs: { n: number } }) => {
  note("twice" + n);
  return n * 2;
}, { enableCache: false });
export const judge = step(({ inputs: { all } }: { inputs: { all: number[] } }) => {
  note("judge");
  if (!mayPass()) throw new Error("not yet");
  return all.length;
});
export default dynamicPipeline({ name: "d" }, async (run) => {
  const all = await run.map(twice, { n: await run.step(list) });
  await run.step(judge, { inputs: { all } });
});
`,
  );
  const first = await ask("run", "d");
  expect(first).toMatchObject({ status: "failed", ran: ["judge", "list", "twice1", "twice2"] });
  writeFileSync(join(root.root, "pass"), "");
  const healed = await ask("rerun", first.run, "--failed");
  expect(healed).toMatchObject({ status: "completed", ran: ["judge"] });
  const from = await ask("rerun", healed.run, "--from", "twice_2");
  expect(from).toMatchObject({ status: "completed", ran: ["judge", "twice2"] });
}, 90_000);
