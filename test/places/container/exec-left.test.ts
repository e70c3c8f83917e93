/** What attempts left in containers that run already: when it is over, and what is said if not. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ContainersFolder } from "../../../src/places/container/container-files.ts";
import { EngineError, type Engine } from "../../../src/places/container/engine.ts";
import type { ExecMark } from "../../../src/places/container/exec-command.ts";
import {
  endLeft,
  LeftExecs,
  noteMark,
  notedMark,
  signalMark,
} from "../../../src/places/container/exec-left.ts";
import { tempRoot } from "../../support/temp-root.ts";

const MARK: ExecMark = { container: "web", user: "7", token: "t-1", boot: ["41", "99"] };
const IS_LEFT = 'what an earlier attempt started in the container "web" is left: ';

/** An engine: what its looks find, the last again and again; and how the container is. */
function played(looks: readonly (number | undefined)[], state: object | Error | undefined = {}) {
  const asked: string[] = [];
  const engine = {
    name: "podman",
    id: "/storage",
    env: {},
    ask: (words: readonly string[]) => {
      asked.push(words.slice(words.indexOf("orchd-end") + 1).join(" "));
      const found = looks[Math.min(asked.length, looks.length) - 1];
      const stdout = found === undefined ? "" : `rest:${" 41".repeat(found)}\n`;
      return Promise.resolve({
        status: found === undefined ? 125 : 0,
        stdout,
        stderr: "Error: no",
      });
    },
    inspect: () =>
      state instanceof Error
        ? Promise.reject(state)
        : Promise.resolve(state === undefined ? [] : [{ running: false, paused: false, ...state }]),
  };
  return { engine: engine as unknown as Engine, asked };
}

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** What comes of it, when all waits are over. */
async function soon<T>(work: Promise<T>): Promise<T> {
  await vi.advanceTimersByTimeAsync(60_000);
  return work;
}

describe("what is left", () => {
  it("is ended by KILL, with what began it, and looked for until it is gone", async () => {
    const { engine, asked } = played([2, 1, 0]);
    expect(await soon(endLeft(engine, MARK))).toBeUndefined();
    expect(asked).toEqual(Array(3).fill("KILL 41 99 t-1 also"));
  });

  it("is told after a second of looks, 20 of them", async () => {
    const { engine, asked } = played([1]);
    const told: (string | undefined)[] = [];
    void endLeft(engine, MARK).then((because) => told.push(because));
    await vi.advanceTimersByTimeAsync(999);
    expect([told, asked.length]).toEqual([[], 20]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual([`${IS_LEFT}it does not end`]);
  });

  it.each<[string, object | Error | undefined, string | undefined]>([
    ["runs", { running: true }, `${IS_LEFT}no`],
    ["is frozen", { paused: true }, `${IS_LEFT}no`],
    ["has ended", {}, undefined],
    ["is gone", undefined, undefined],
    ["nobody knows", new EngineError("podman is away"), `${IS_LEFT}podman is away`],
  ])("where nobody could look, and its container %s: %s", async (_, state, because) => {
    const { engine, asked } = played([undefined], state);
    expect(await soon(endLeft(engine, MARK))).toBe(because);
    expect(asked).toHaveLength(1);
  });

  it("gets a signal, with or without the program that began it, and is counted", async () => {
    const { engine, asked } = played([2, undefined]);
    expect(await signalMark(engine, MARK, "TERM", false)).toBe(2);
    expect(await signalMark(engine, { container: "web", token: "t-1" }, "KILL", true)).toBe(
      undefined,
    );
    expect(asked).toEqual(["TERM 41 99 t-1 ", "KILL   t-1 also"]);
  });
});

describe("the notes of attempts", () => {
  function folders(...marks: (ExecMark | undefined)[]) {
    const path = join(tempRoot().root, "containers");
    const folder = new ContainersFolder(path, `left${process.pid}`);
    const { engine } = played([0]);
    const all = marks.map((mark) => {
      const files = folder.begin(false, engine);
      if (mark !== undefined) noteMark(files, mark);
      return files;
    });
    return { folder, path, all };
  }

  it("are for the daemon's user alone, and there whole or not at all", () => {
    const { all } = folders(MARK);
    const [files] = all;
    expect(notedMark(files!.folder)).toEqual(MARK);
    expect(statSync(join(files!.folder, "exec.json")).mode & 0o777).toBe(0o600);
    expect(readdirSync(files!.folder)).not.toContain("exec.json.new");
    noteMark(files!, { ...MARK, token: "t-2" });
    expect(notedMark(files!.folder)?.token).toBe("t-2");
    expect(notedMark(join(files!.folder, "none"))).toBeUndefined();
  });

  it("say which attempts had begun, and which folders stay", () => {
    const { boot, ...unbegun } = MARK;
    const { folder, all } = folders(MARK, { ...unbegun, token: "t-2" }, undefined);
    const left = new LeftExecs(folder);
    expect(["t-1", "t-2", "t-3"].map((token) => left.hadBegun(token))).toEqual([
      true,
      false,
      false,
    ]);
    expect(new Set(left.folders)).toEqual(new Set(all.slice(0, 2).map(({ folder: at }) => at)));
    expect(boot).toEqual(["41", "99"]);
    // One of this daemon comes later. What has no note was no such attempt.
    const { engine } = played([0]);
    const [later, plain] = [folder.begin(false, engine), folder.begin(false, engine)];
    noteMark(later, { ...MARK, token: "t-4" });
    left.add(later);
    left.add(plain);
    expect([left.folders.length, left.hadBegun("t-4")]).toEqual([3, true]);
  });

  it("go with what is ended or never began, and stay with what is left", async () => {
    const { boot: _boot, ...unbegun } = MARK;
    const { folder, all } = folders(MARK, { ...unbegun, token: "t-2" }, { ...MARK, token: "t-3" });
    const left = new LeftExecs(folder);
    const stuck = played([1]);
    const notThird = (mark: ExecMark): boolean => mark.token !== "t-3";
    expect(await soon(left.end(stuck.engine, notThird))).toBe(`${IS_LEFT}it does not end`);
    expect(new Set(left.folders)).toEqual(new Set([all[0]!.folder, all[2]!.folder]));
    expect(stuck.asked).toHaveLength(20);
    const well = played([0]);
    expect(await soon(left.end(well.engine, () => true))).toBeUndefined();
    expect([left.folders, well.asked.length]).toEqual([[], 2]);
    vi.useRealTimers();
    await vi.waitFor(() =>
      expect(all.map((files) => existsSync(files.folder))).toEqual([false, false, false]),
    );
  });
});
