/** What a runner leaves of the steps that had begun, and what of it the next daemon believes. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ClaimBook, ClaimsFolder, leaveClaims, type Claims } from "../../src/places/pool/claims.ts";
import { PoolRig } from "../support/pool-rig.ts";
import { tempRoot } from "../support/temp-root.ts";

/** The file stays after the runners have ended well. */
class KeptClaims extends ClaimsFolder {
  override end(): void {
    // Nothing.
  }
}

const RUN = "p@1";
let folder: string;

beforeEach(() => {
  folder = join(tempRoot().root, "claims");
});

/** A daemon of this epoch whose runner leaves this. */
function left(epoch: number, claimed: readonly string[], runs = [RUN]): string {
  const path = new ClaimsFolder(folder, epoch).begin(1)!;
  leaveClaims(path, { runs, claimed });
  return path;
}

describe("the file of claims", () => {
  it("tells who had begun, of its runs", () => {
    left(1, ["p@1#2"]);
    const next = new ClaimsFolder(folder, 2);
    expect(next.mayHaveBegun(RUN, "p@1#2")).toBe(true);
    expect(next.mayHaveBegun(RUN, "p@1#3")).toBe(false);
    expect(next.mayHaveBegun("p@2", "p@2#3")).toBe(true);
  });

  it("is not believed where it is empty, cut off at any byte, or not the only one", () => {
    const path = left(1, ["p@1#2"]);
    const text = readFileSync(path, "utf8");
    for (let length = 0; length < text.length; length += 1) {
      writeFileSync(path, text.slice(0, length));
      expect(new ClaimsFolder(folder, 2).mayHaveBegun(RUN, "p@1#3"), `${length}`).toBe(true);
    }
    writeFileSync(path, text);
    expect(new ClaimsFolder(folder, 2).mayHaveBegun(RUN, "p@1#3")).toBe(false);
    writeFileSync(join(folder, "1.2"), text);
    expect(new ClaimsFolder(folder, 2).mayHaveBegun(RUN, "p@1#3")).toBe(true);
  });

  it("is read again by a daemon after one that was killed before it started a step", () => {
    left(1, ["p@1#2"]);
    expect(new ClaimsFolder(folder, 2).mayHaveBegun(RUN, "p@1#3")).toBe(false);
    const third = new ClaimsFolder(folder, 3);
    expect(third.mayHaveBegun(RUN, "p@1#3")).toBe(false);
    third.clear();
    expect(readdirSync(folder)).toEqual([]);
    // It still knows what it read: a run may be taken over late.
    expect(third.mayHaveBegun(RUN, "p@1#3")).toBe(false);
    expect(new ClaimsFolder(folder, 4).mayHaveBegun(RUN, "p@1#3")).toBe(true);
  });

  it("is not brought back by a runner that lives on, once it was removed", () => {
    const path = left(1, ["p@1#2"]);
    new ClaimsFolder(folder, 2).clear();
    leaveClaims(path, { runs: [RUN], claimed: [] });
    expect(existsSync(path)).toBe(false);
  });

  it("takes the place of its forerunner's, and goes when all has ended", () => {
    const claims = new ClaimsFolder(folder, 1);
    claims.begin(1);
    claims.begin(2);
    expect(readdirSync(folder)).toEqual(["1.2"]);
    claims.end();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("does not need a folder", () => {
    const claims = new ClaimsFolder(folder, 1);
    claims.clear();
    claims.end();
    expect(claims.mayHaveBegun(RUN, "p@1#2")).toBe(true);
    expect(existsSync(folder)).toBe(false);
  });
});

it("a book forgets what is settled, and the oldest of too many runs", () => {
  const book = new ClaimBook();
  for (let n = 0; n <= 4_096; n += 1) book.expect(`r${n}`);
  book.add("r5#1");
  book.add("r5#2");
  book.settle(["r5#1"]);
  expect(book.mayHaveBegun("r0", "r0#1")).toBe(true);
  expect(book.mayHaveBegun("r5", "r5#1")).toBe(false);
  expect(book.mayHaveBegun("r5", "r5#2")).toBe(true);
  expect(book.claims.runs).toHaveLength(4_096);
});

describe("a runner whose channel closes", () => {
  it("leaves what began and is not settled, and nothing that waits", async () => {
    const rig = new PoolRig({ threads: 1 }, undefined, new KeptClaims(folder, 1));
    const { pool } = rig;
    const run = "rig@1";
    pool.expect(run);
    rig.module(
      "it",
      `export default ({ params }) => {
  console.log("begun");
  return params.hold ? new Promise(() => {}) : 1;
};`,
    );
    const [settled, ended] = [rig.start("it"), rig.start("it")];
    await Promise.all([settled.ended, ended.ended]);
    pool.settle([settled.id]);
    const held = rig.start("it", { params: { hold: true } });
    const shell = rig.startShell("echo begun; sleep 3600");
    await Promise.all([held.firstLine, shell.firstLine]);
    const waits = rig.start("it");
    await pool.close();
    const { runs, claimed } = JSON.parse(readFileSync(join(folder, "1.1"), "utf8")) as Claims;
    expect(runs).toEqual([run]);
    expect([...claimed].sort()).toEqual([ended.id, held.id, shell.id].sort());
    expect(claimed).not.toContain(waits.id);
  });

  it("tells of what its forerunner may have begun", async () => {
    const rig = new PoolRig({ threads: 1 }, undefined, new KeptClaims(folder, 1));
    const { pool } = rig;
    pool.expect("rig@1");
    const lost = rig.startShell('echo begun; kill -9 "$PPID"; sleep 3600');
    expect((await lost.ended).death).toBeDefined();
    const next = rig.startShell("echo begun; sleep 3600");
    await next.firstLine;
    await pool.close();
    expect(readdirSync(folder)).toEqual(["1.2"]);
    const { runs, claimed } = JSON.parse(readFileSync(join(folder, "1.2"), "utf8")) as Claims;
    expect({ runs, claimed }).toEqual({ runs: ["rig@1"], claimed: [lost.id, next.id] });
  });
});
