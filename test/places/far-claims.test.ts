/** What a far runner leaves of the steps that had begun, and what is believed of it. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { builtProgram } from "../../src/disk/built-program.ts";
import { leaveClaims } from "../../src/places/pool/claims.ts";
import {
  FarClaimBook,
  leftClaims,
  makeClaimsFile,
  mayHaveBegun,
  readLeftClaims,
} from "../../src/places/pool/far-claims.ts";
import { PoolRig } from "../support/pool-rig.ts";
import { stdioRunner } from "../support/stdio-runner.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@1";
/**
 * Carries lines from and to a runner in a session of its own: when its process group is killed, the
 * runner goes on and hears the end of its input.
 */
const LINK = `
folder=$(mktemp -d); mkfifo "$folder/in" "$folder/out"
setsid "${process.execPath}" "${builtProgram("runner")}" --stdio <"$folder/in" >"$folder/out" &
exec 3>"$folder/in" 4<"$folder/out"
rm -r "$folder"
cat <&4 3>&- &
exec cat >&3 4<&-
`;
const claimsIn = (): string => join(tempRoot().root, "claims");

/** Which of these lines' steps may have begun, by what a book leaves. */
function begunOf(book: FarClaimBook, lines: readonly number[], run = RUN): number[] {
  return lines.filter((line) => mayHaveBegun(book.claims, `${run}#${line}`));
}

describe("what a far runner leaves", () => {
  it("tells of a run from the first step that the runner was given", () => {
    const book = new FarClaimBook();
    for (const line of [5, 6, 9]) book.add(`${RUN}#${line}`);
    book.settle([`${RUN}#6`]);
    // Lines 7 and 12 were on their way, and never came.
    expect(begunOf(book, [4, 5, 6, 7, 9, 12])).toEqual([4, 5, 9]);
    expect(begunOf(book, [5], "p@2")).toEqual([5]);
    expect(mayHaveBegun(book.claims, "no step")).toBe(true);
  });

  it("knows nothing of what a runner had that was replaced", () => {
    const book = new FarClaimBook();
    // Line 5 runs in the one before, which had line 3 too.
    book.add(`${RUN}#3`, true);
    expect(begunOf(book, [3, 5])).toEqual([3, 5]);
    book.add(`${RUN}#8`);
    expect(begunOf(book, [3, 5, 8, 9])).toEqual([3, 5, 8]);
  });

  it("takes for begun what is too long ago to be told", () => {
    const book = new FarClaimBook();
    for (let line = 1; line <= 1_000; line += 1) book.add(`${RUN}#${line}`);
    book.settle([`${RUN}#1000`, `${RUN}#900`]);
    expect(begunOf(book, [1, 400, 900, 999, 1_000])).toEqual([1, 400, 999]);
    book.settle([`${RUN}#200`]);
    expect(begunOf(book, [200])).toEqual([200]);
  });

  it("still knows each of 4,096 steps after any number of them, and writes down the newest", () => {
    const book = new FarClaimBook();
    const lines = Array.from({ length: 4_608 }, (_, index) => index + 1);
    for (const line of lines) book.add(`${RUN}#${line}`);
    // All but the oldest that is still known are taken back: so it is among what is written.
    book.settle(lines.slice(513).map((line) => `${RUN}#${line}`));
    expect(book.claims.runs[RUN]).toEqual({ from: 513, begun: [513] });
  });

  it("is short enough for an answer, and tells of the newest runs", () => {
    const book = new FarClaimBook();
    for (let run = 1; run <= 5_000; run += 1)
      for (const line of [2, 3]) book.add(`${"long ".repeat(20)}@${run}#${line}`);
    expect(JSON.stringify(book.claims).length).toBeLessThan(14_000);
    expect(begunOf(book, [2, 3, 4], `${"long ".repeat(20)}@5000`)).toEqual([2, 3]);
    expect(begunOf(book, [2, 3, 4], `${"long ".repeat(20)}@1`)).toEqual([2, 3, 4]);
  });
});

describe("the file of a far runner", () => {
  const claims = { runs: { [RUN]: { from: 2, begun: [2, 5] } } };

  it("is read by its runner's name, and takes the place of its forerunners'", () => {
    const folder = claimsIn();
    const path = makeClaimsFile(join(folder, "1.1"))!;
    leaveClaims(path, claims);
    expect(readLeftClaims(folder)).toEqual({ runner: "1.1", ...claims });
    makeClaimsFile(join(folder, "1.2"));
    expect(readdirSync(folder)).toEqual(["1.2"]);
    // One that lives on does not bring its own back.
    leaveClaims(path, claims);
    expect(readdirSync(folder)).toEqual(["1.2"]);
    expect(readLeftClaims(folder)).toBeUndefined();
  });

  it("is not believed where it is cut off at any byte, or not the only one", () => {
    const folder = claimsIn();
    const path = makeClaimsFile(join(folder, "1.1"))!;
    const text = JSON.stringify(claims);
    for (let length = 0; length < text.length; length += 1) {
      writeFileSync(path, text.slice(0, length));
      expect(readLeftClaims(folder), `${length}`).toBeUndefined();
    }
    writeFileSync(path, text);
    writeFileSync(join(folder, "1.2"), text);
    expect(readLeftClaims(folder)).toBeUndefined();
    expect(readLeftClaims(join(folder, "none"))).toBeUndefined();
  });

  it("is not believed where it says something else", () => {
    for (const said of [
      undefined,
      null,
      "text",
      {},
      { runner: "1.1" },
      { runner: "1.1", runs: null },
      { runner: "1.1", runs: { [RUN]: null } },
      { runner: "1.1", runs: { [RUN]: { from: "2", begun: [] } } },
      { runner: "1.1", runs: { [RUN]: { from: 2 } } },
      { runner: 1, runs: {} },
    ])
      expect(leftClaims(said)).toBeUndefined();
  });
});

describe("a far runner whose link is lost", () => {
  it("leaves what began, and nothing that waits", async () => {
    const folder = claimsIn();
    const launch = stdioRunner({ claims: (number) => join(folder, `1.${number}`) });
    const rig = new PoolRig({ threads: 1 }, systemClock, undefined, launch);
    rig.module(
      "hold",
      'export default () => { console.log("begun"); return new Promise(() => {}); };',
    );
    const [held, shell] = [rig.start("hold"), rig.startShell("echo begun; sleep 3600")];
    await Promise.all([held.firstLine, shell.firstLine]);
    const waiting = [rig.start("hold"), rig.startShell("true")];
    const alone = rig.startShell("echo begun; sleep 3600", { alone: true });
    await alone.firstLine;
    await rig.pool.close();
    // The one of its own leaves nothing, and takes nobody's place.
    expect(readdirSync(folder)).toEqual(["1.1"]);
    const left = JSON.parse(readFileSync(join(folder, "1.1"), "utf8")) as ReturnType<
      typeof leftClaims
    >;
    const begun = [held, shell, ...waiting].map(({ id }) => mayHaveBegun(left!, id));
    expect(begun).toEqual([true, true, false, false]);
  });

  it("tells its daemon which steps had not begun, and these have no part in it", async () => {
    const folder = claimsIn();
    const launch = stdioRunner({
      // What stands for the link dies alone: the runner hears the end of its input.
      command: () => ({ words: ["/bin/sh", "-c", LINK] }),
      claims: (number) => join(folder, `1.${number}`),
      end: async () => {
        while (readLeftClaims(folder) === undefined)
          await new Promise((resolve) => setTimeout(resolve, 5));
        return { claims: readLeftClaims(folder) };
      },
    });
    const rig = new PoolRig({ threads: 1 }, systemClock, undefined, launch);
    const held = rig.startShell("echo begun; sleep 3600");
    await held.firstLine;
    const waits = rig.startShell("true");
    // It is told the second one before the link is gone.
    await new Promise((resolve) => setImmediate(resolve));
    process.kill(-rig.pool.pids()[0]!, "SIGKILL");
    const [lost, unbegun] = await Promise.all([held.ended, waits.ended]);
    expect(lost.death).toMatchObject({ blameless: "lost", code: "ORCHD_PLACE" });
    expect(unbegun.death).toMatchObject({ blameless: "unbegun", code: "ORCHD_PLACE" });
  });
});
