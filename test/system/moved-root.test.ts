/** A root that was moved with its ledgers: re-runs of older runs find their folder and code. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { orchd, startDaemon } from "../support/daemon.ts";
import { runsOf } from "../support/ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";

it("a re-run after the root was moved runs the frozen steps where they are now", async () => {
  const outer = tempRoot({
    "old/schedules/p.yaml": `steps:
  a: { run: 'pwd > "$ORCHD_OUTPUT.x"; printf "\\"%s\\"" "$PWD" > $ORCHD_OUTPUT; test -e ../go' }
  b: { uses: ./steps/b.mjs, after: a }
  c: { run: 'printf "\\"%s\\"" "$PWD" > $ORCHD_OUTPUT', cwd: ../work, after: a }
  d: { run: 'printf "\\"%s\\"" "$PWD" > $ORCHD_OUTPUT', cwd: /, after: a }
`,
    "old/schedules/steps/b.mjs": `import { readFileSync } from "node:fs";
export default () => readFileSync(new URL("./data.txt", import.meta.url), "utf8");
`,
    "old/schedules/steps/data.txt": "hello",
    "old/work/kept": "",
  });
  const [before, after] = [join(outer.root, "old"), join(outer.root, "new")];
  await orchd(before, "run", "p", "--foreground");
  const [first] = runsOf(join(before, "runs"), "p");
  renameSync(before, after);
  writeFileSync(join(after, "go"), "");
  // What was edited since does not run: the code is the frozen one.
  writeFileSync(join(after, "schedules/steps/b.mjs"), 'export default () => "edited";\n');
  const daemon = await startDaemon({ root: after });
  const again = await orchd(after, "rerun", first!.run, "--failed", "--wait");
  expect(again).toMatchObject({ status: 0 });
  const rerun = runsOf(join(after, "runs"), "p").find(({ run }) => run !== first!.run)!;
  const results = rerun.lines
    .filter(({ type }) => type === "step.completed")
    .map((line) => [line["step"], (line["outputs"] as { result: unknown }).result]);
  expect(Object.fromEntries(results)).toEqual({
    a: join(after, "schedules"),
    b: "hello",
    c: join(after, "work"),
    d: "/",
  });
  await daemon.end();
});
