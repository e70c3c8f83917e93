/** What is thrown and not caught ends a daemon with a sentence; a row of such ends is told. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { tellLost } from "../../src/observe/unforeseen.ts";
import { projectRoot } from "../support/temp-root.ts";

const built = JSON.stringify(join(projectRoot, "dist/src/observe/unforeseen.js"));

/** A process that does this after it was told how to end. */
function ended(what: string): { readonly status: number | null; readonly said: unknown } {
  const source = `
    import { endAtUnforeseen } from ${built};
    endAtUnforeseen({
      fatal: ({ err }, sentence) => console.log(JSON.stringify([err.message, sentence])),
    });
    ${what}
    setTimeout(() => console.log('"it went on"'), 100);`;
  const words = ["--input-type=module", "--eval", source];
  const { status, stdout } = spawnSync(process.execPath, words, { encoding: "utf8" });
  return { status, said: JSON.parse(stdout) as unknown };
}

it.each([
  ["thrown in a timer", "setTimeout(() => { throw new Error('no'); });", "no"],
  ["a rejection that nobody hears", "Promise.reject(new Error('no'));", "no"],
  ["an error event that nobody hears", "process.emit('error', new Error('no'));", "no"],
  ["no error", "setTimeout(() => { throw 7; });", "this was thrown: 7"],
])("ends it: %s", (_, what, message) => {
  const sentence = expect.stringContaining("the daemon ends at once") as string;
  expect(ended(what)).toEqual({ status: 1, said: [message, sentence] });
});

it("tells that daemons end again and again, from the third on", () => {
  const told: string[] = [];
  const log = { warn: (_: object, sentence: string) => void told.push(sentence) };
  for (const lost of [0, 1, 2, 3]) tellLost(log, lost);
  expect(told).toEqual([
    "3 daemons in a row ended within ten minutes without being told to: if nobody killed them, " +
      "their last lines in this log say why",
  ]);
});
