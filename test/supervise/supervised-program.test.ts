/** A program that the daemon keeps running: when it is started, and by which settings. */
import { expect, it } from "vitest";
import { silentLog } from "../../src/log.ts";
import { rootWords, SupervisedProgram } from "../../src/supervise/supervised-program.ts";
import { awaitSight } from "../support/await-event.ts";
import { tempRoot } from "../support/temp-root.ts";
import { systemClock } from "../../src/clock.ts";
import { onTestFinished } from "../support/running-test.ts";
import { existsSync, readFileSync } from "node:fs";

/** A program that says its word and its mark, and stays. */
const PROGRAM = `
require("node:fs").appendFileSync(process.argv[3], process.argv[2] + "\\n");
process.stdout.write(process.argv[2] + " " + process.env.ORCHD_RUNNER_TOKEN + "\\n");
setInterval(() => {}, 1000);
`;

it("starts once the daemon is ready, and again where its settings change", async () => {
  const { root, write } = tempRoot();
  const path = write("program.cjs", PROGRAM);
  const note = `${root}/started`;
  const answers: string[] = [];
  const asked: string[] = [];
  let settings: string | undefined = "a";
  const program = new SupervisedProgram<string>({
    clock: systemClock,
    log: silentLog,
    mark: "its-mark",
    name: "the program",
    settings: () => settings,
    start: (given) => {
      asked.push(given);
      return { path, words: [given, note], env: {}, secrets: [] };
    },
    onAnswer: (line, given) => void answers.push(`${given}: ${line}`),
  });
  onTestFinished(() => program.close());
  const started = (): string => (existsSync(note) ? readFileSync(note, "utf8") : "");
  program.refresh();
  expect(asked).toEqual([]);
  program.begin();
  await awaitSight(root, () => answers.length === 1 || undefined, "its first answer");
  settings = "b";
  program.refresh();
  await awaitSight(root, () => answers.length === 2 || undefined, "its second answer");
  expect(answers).toEqual(["a: a its-mark", "b: b its-mark"]);
  expect(started()).toBe("a\nb\n");
  expect(rootWords({ root: "/r", schedules: "/s", runs: "/u" })).toEqual([
    "--root",
    "/r",
    "--schedules",
    "/s",
    "--runs",
    "/u",
  ]);
});
