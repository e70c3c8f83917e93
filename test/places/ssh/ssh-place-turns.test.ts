/**
 * When a place over SSH takes steps: its turns with a connection, a machine and a pool that a test
 * plays, in virtual time.
 */
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { SshPlaceSettings } from "../../../src/core/place-settings.ts";
import type { Task } from "../../../src/core/task.ts";
import type { DeathInfo, TaskHandlers } from "../../../src/places/place.ts";
import type { RunnerPool } from "../../../src/places/pool/runner-pool.ts";
import type { StreamPlace } from "../../../src/places/pool/stream-place.ts";
import type { FarMachine, Looked } from "../../../src/places/ssh/prepare.ts";
import type { ConnectionOptions, ConnectionState } from "../../../src/places/ssh/ssh-connection.ts";
import { SshPlace } from "../../../src/places/ssh/ssh-place.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

type Taken =
  | { readonly ok: true; readonly answer: { readonly version: string; readonly protocol: number } }
  | { readonly ok: false; readonly because: string; readonly isOver?: boolean };

const WHOLE: FarMachine = {
  node: "20.19.0",
  platform: "linux/x64",
  folder: "/far",
  state: "whole",
};

/** What is played: the connection, what the machine answers, and the pool. */
const played = {
  looked: [] as Looked[],
  taken: [] as Taken[],
  commands: [] as string[],
  looks: 0,
  hear: (_state: ConnectionState): void => undefined,
  state: { kind: "connecting" } as ConnectionState,
  stream: undefined as StreamPlace | undefined,
  exits: undefined as ((exit: object) => void) | undefined,
  started: new Map<string, TaskHandlers>(),
  stopped: [] as unknown[],
  closed: [] as unknown[],
  poolCapacity: (): void => undefined,
  settings: {} as object,
};

vi.mock("../../../src/places/ssh/ssh-connection.ts", () => ({
  SshConnection: class {
    constructor({ onState }: ConnectionOptions) {
      played.hear = (state) => {
        played.state = state;
        onState(state);
      };
    }
    get state(): ConnectionState {
      return played.state;
    }
    open(): void {
      played.hear({ kind: "connecting" });
    }
    words = (command: string): string[] => ["-s", command];
    close = (): Promise<void> => Promise.resolve(void played.closed.push("connection"));
  },
}));
vi.mock("../../../src/places/ssh/far-package.ts", () => ({
  farPackage: () => ({ id: "9.9.9-x", version: "9.9.9", files: [] }),
  FAR_PROGRAMS: "node_modules/orchd/dist/daemon",
}));
vi.mock("../../../src/places/ssh/prepare.ts", () => ({
  lookAt: () => {
    played.looks += 1;
    return Promise.resolve(played.looked.shift() ?? { ok: true, machine: WHOLE });
  },
  tryPackage: (_connection: unknown, _settings: unknown, command: string) => {
    played.commands.push(command);
    return Promise.resolve(
      played.taken.shift() ?? { ok: true, answer: { version: "9.9.9", protocol: 1 } },
    );
  },
}));
vi.mock("../../../src/places/pool/stream-runner.ts", () => ({
  streamRunner: (options: StreamPlace) => {
    played.stream = options;
    return (...[, , , listener]: [unknown, unknown, unknown, { exit: (exit: object) => void }]) => {
      played.exits = listener.exit;
    };
  },
}));
vi.mock("../../../src/places/pool/runner-pool.ts", () => ({
  RunnerPool: class {
    readonly launch: (...given: unknown[]) => unknown;
    constructor(options: { launch: (...given: unknown[]) => unknown; settings: object }) {
      const { launch, settings } = options;
      this.launch = launch;
      played.settings = settings;
      launch({}, 1, false, { exit: () => undefined });
    }
    onCapacity = (callback: () => void): void => void (played.poolCapacity = callback);
    capacity = (): object => ({ module: 3, shell: 5 });
    room = (lane: "module" | "shell"): number => ({ module: 3, shell: 5 })[lane];
    start = (id: string, _task: unknown, handlers: TaskHandlers): void =>
      void played.started.set(id, handlers);
    stop = (...given: unknown[]): void => void played.stopped.push(given);
    close = (how: unknown): Promise<void> => Promise.resolve(void played.closed.push(how));
  } as unknown as RunnerPool,
}));

let clock: VirtualClock;
let logged: string[];

beforeEach(() => {
  Object.assign(played, { looked: [], taken: [], commands: [], looks: 0, started: new Map() });
  Object.assign(played, { stopped: [], closed: [], state: { kind: "connecting" } });
  played.poolCapacity = () => undefined;
  clock = new VirtualClock();
  logged = [];
});

const SETTINGS = {
  kind: "ssh",
  host: "gpu1",
  threads: 2,
  labels: ["gpu", "far"],
} as unknown as SshPlaceSettings;

function opened(): SshPlace {
  const root = tempRoot().root;
  const note = (_: unknown, text: string): void => void logged.push(text);
  return new SshPlace({
    name: "far",
    settings: SETTINGS,
    clock,
    log: { info: note, warn: note } as never,
    secrets: {} as never,
    root,
    folder: `${root}/places/far`,
    bundles: `${root}/bundles`,
    artifacts: `${root}/artifacts`,
    token: "daemon.7",
    since: 0,
  });
}

/** The words of the commands that took the host, without what stands before them. */
const takes = (): string[] => played.commands.map((one) => one.slice(one.indexOf("take")));

describe("a place over SSH takes steps", () => {
  it("once its machine was looked at and taken, and says what it is", async () => {
    const place = opened();
    const told: string[] = [];
    place.onReport(() => told.push("report"));
    const end = place.onCapacity(() => told.push("capacity"));
    expect(place.whyNot()).toBe("gpu1 is being connected to");
    expect([place.capacity(), place.room("module", ["gpu"])]).toEqual([{ module: 0, shell: 0 }, 0]);
    played.hear({ kind: "up" });
    await clock.settle();
    expect(place.whyNot()).toBeUndefined();
    expect(told).toEqual(["report", "capacity"]);
    expect(place.capacity()).toEqual({ module: 3, shell: 5 });
    expect([place.room("shell", ["gpu"]), place.room("shell", ["gpu", "red"])]).toEqual([5, 0]);
    expect(place.report()).toMatchObject({
      place: "far",
      engine: "ssh",
      labels: ["far", "gpu"],
      hosts: [{ host: "gpu1", node: "20.19.0", platform: "linux/x64", version: "9.9.9" }],
    });
    expect(logged).toEqual(["a place is ready for steps"]);
    // A runner has more room: a step that waits for some hears of it.
    played.poolCapacity();
    expect(told).toEqual(["report", "capacity", "capacity"]);
    end();
    played.poolCapacity();
    expect(told).toHaveLength(3);
    await place.close(true);
    expect(played.closed).toEqual([{ force: true }, "connection"]);
  });

  it("and ends what runs there at first, and not as a connection comes back", async () => {
    const place = opened();
    played.hear({ kind: "up" });
    await clock.settle();
    const [first] = takes();
    // The root's token comes twice: it says who takes the host, and whose processes end.
    const token = /orchd-[\w-]+/.exec(first!)![0];
    expect(first!.split(token)).toHaveLength(3);
    played.hear({ kind: "down", because: "the connection to gpu1 broke" });
    expect(place.whyNot()).toBe("the connection to gpu1 broke");
    played.hear({ kind: "connecting" });
    played.hear({ kind: "up" });
    await clock.settle();
    expect(takes()).toHaveLength(2);
    expect(takes()[1]!.split(token)).toHaveLength(2);
    expect(place.whyNot()).toBeUndefined();
    expect(logged).toEqual([
      "a place is ready for steps",
      "a place takes no steps: the connection to gpu1 broke",
      "a place is ready for steps",
    ]);
    await place.close(false);
  });

  it("in runners that are known by its root and its daemon's epoch", async () => {
    const place = opened();
    played.hear({ kind: "up" });
    await clock.settle();
    const root = /orchd-[\w-]+/.exec(takes()[0]!)![0];
    expect(played.settings).toMatchObject({ threads: 2, scratch: "", token: `${root}.7` });
    expect(played.stream!.where).toBe("on gpu1");
    expect(played.stream!.claims!(3)).toMatch(/\/7\.3$/);
    await place.close(true);
  });

  it("not while something is missing there, and looks again, later each time", async () => {
    const place = opened();
    const missing: Looked = { ok: false, because: "there is no node" };
    played.looked = Array.from({ length: 7 }, () => missing);
    played.hear({ kind: "up" });
    await clock.settle();
    const waits: number[] = [];
    for (let seen = played.looks; waits.length < 6; seen = played.looks) {
      const from = clock.monotonic();
      while (played.looks === seen) await clock.advance(1_000);
      waits.push(clock.monotonic() - from);
    }
    expect(waits).toEqual([2, 4, 8, 16, 30, 30].map((s) => s * 1_000));
    // The same reason is told once.
    expect(logged).toEqual(["a place takes no steps: there is no node"]);
    await clock.advance(30_000);
    expect(place.whyNot()).toBeUndefined();
    // It was ready: the next time begins with the first wait.
    played.looked = [missing];
    played.hear({ kind: "up" });
    await clock.settle();
    const looks = played.looks;
    await clock.advance(1_999);
    expect(played.looks).toBe(looks);
    await clock.advance(1);
    expect(played.looks).toBe(looks + 1);
    await place.close(true);
  });

  it.each<[string, Partial<{ looked: Looked[]; taken: Taken[] }>, string]>([
    [
      "has no package",
      { looked: [{ ok: true, machine: { ...WHOLE, state: "missing" } }] },
      "orchd of this release is not on gpu1: run `orchd place prepare far`",
    ],
    [
      "has a broken package",
      { looked: [{ ok: true, machine: { ...WHOLE, state: "broken" } }] },
      "orchd of this release is not on gpu1: run `orchd place prepare far`",
    ],
    [
      "is another daemon's",
      { taken: [{ ok: false, because: "gpu1 cannot be used: it is taken" }] },
      "gpu1 cannot be used: it is taken",
    ],
  ])("not where the machine %s", async (_what, answers, because) => {
    const place = opened();
    Object.assign(played, answers);
    played.hear({ kind: "up" });
    await clock.settle();
    expect([place.whyNot(), place.report().because]).toEqual([because, because]);
    await clock.advance(2_000);
    expect(place.whyNot()).toBeUndefined();
    // Nothing was there at first: what an earlier daemon left ends with the take that succeeds.
    const token = /orchd-[\w-]+/.exec(takes().at(-1)!)![0];
    expect(takes().at(-1)!.split(token)).toHaveLength(3);
    await place.close(true);
  });

  it("not where the connection is gone by the time that it is taken", async () => {
    const place = opened();
    played.hear({ kind: "up" });
    played.state = { kind: "down", because: "it broke" };
    await clock.settle();
    expect(place.whyNot()).toBe("gpu1 is being connected to");
    await place.close(true);
  });

  it("not after a runner could not be started, until it was looked at again", async () => {
    const place = opened();
    played.hear({ kind: "up" });
    await clock.settle();
    played.exits!({ blameless: "lost", detail: "lost its connection" });
    expect(place.whyNot()).toBeUndefined();
    played.exits!({ blameless: "unbegun", detail: "could not be started" });
    expect(place.whyNot()).toBe("the runner could not be started");
    await clock.advance(2_000);
    expect(place.whyNot()).toBeUndefined();
    await place.close(true);
  });
});

describe("a step there", () => {
  const handlers = () => {
    const heard: unknown[] = [];
    const it: TaskHandlers = {
      done: (...given) => heard.push(["done", ...given]),
      died: (death: DeathInfo) => heard.push(["died", death]),
      output: (lines) => heard.push(["output", lines.length]),
      placed: (at) => heard.push(["placed", at.place, at.host]),
    };
    return { heard, it };
  };
  const TASK = {} as Task;
  const ready = async (): Promise<SshPlace> => {
    const place = opened();
    played.hear({ kind: "up" });
    await clock.settle();
    return place;
  };

  it("says where it begins within 20 ms, or with what comes of it", async () => {
    const place = await ready();
    const [slow, brief, loud] = [handlers(), handlers(), handlers()];
    place.start("r#1", TASK, slow.it);
    place.start("r#2", TASK, brief.it);
    place.start("r#3", TASK, loud.it);
    played.started.get("r#3")!.output([{} as never]);
    await clock.advance(19);
    expect([slow.heard, loud.heard]).toEqual([
      [],
      [
        ["placed", "far", "gpu1"],
        ["output", 1],
      ],
    ]);
    played.started.get("r#2")!.done({ ok: true, value: null }, 3, 0);
    expect(brief.heard).toEqual([
      ["placed", "far", "gpu1"],
      ["done", { ok: true, value: null }, 3, 0],
    ]);
    await clock.advance(1);
    expect(slow.heard).toEqual([["placed", "far", "gpu1"]]);
    expect([place.tasks, place.has("r#1"), place.has("r#2")]).toEqual([2, true, false]);
    expect(() => place.start("r#1", TASK, slow.it)).toThrow('"r#1" was started already');
    played.started.get("r#1")!.died({} as DeathInfo);
    played.started.get("r#3")!.done({ ok: true, value: null }, 3, 0);
    expect([place.tasks, slow.heard.length, clock.timers]).toEqual([0, 2, 0]);
    place.stop("r#1", "force", "why");
    expect(played.stopped).toEqual([["r#1", "force", "why"]]);
    await place.close(true);
    expect(() => place.start("r#9", TASK, slow.it)).toThrow("the place is closed");
  });

  it("says nothing more once the place is closed", async () => {
    const place = await ready();
    const { heard, it: handled } = handlers();
    place.start("r#1", TASK, handled);
    await place.close(true);
    await clock.advance(20);
    expect([heard, clock.timers]).toEqual([[], 0]);
  });

  it("that was decided while the place was ready, and cannot begin, blames nobody", async () => {
    const place = await ready();
    played.hear({ kind: "down", because: "it broke" });
    const { heard, it } = handlers();
    place.start("r#1", TASK, it);
    expect([heard, place.tasks]).toEqual([[], 1]);
    await clock.settle();
    expect(heard).toEqual([
      [
        "died",
        {
          inFlight: ["r#1"],
          alone: true,
          blameless: "unbegun",
          because: "it broke",
          code: "ORCHD_PLACE",
        },
      ],
    ]);
    expect([place.tasks, played.started.size]).toEqual([0, 0]);
    await place.close(true);
  });

  it("of an earlier daemon is gone once the host is taken, or its lease is over", async () => {
    const place = opened();
    const answered: string[] = [];
    const ask = (name: string, ids: readonly string[]): void =>
      void place.adopt(ids).then((left) => answered.push(`${name} ${left.size}`));
    ask("none", []);
    ask("first", ["r#1", "r#2"]);
    await clock.settle();
    expect([answered, place.tasks]).toEqual([["none 0"], 2]);
    played.hear({ kind: "up" });
    await clock.settle();
    expect([answered, place.tasks]).toEqual([["none 0", "first 0"], 0]);
    ask("later", ["r#3"]);
    await clock.settle();
    expect([answered.at(-1), clock.timers]).toEqual(["later 0", 0]);
    await place.close(true);
    const away = opened();
    let isOver = false;
    void away.adopt(["r#1"]).then(() => (isOver = true));
    const { PATIENCE_MS } = await import("../../../src/places/pool/wire.ts");
    await clock.advance(PATIENCE_MS - 1);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect([isOver, away.tasks]).toEqual([true, 0]);
    await away.close(true);
  });

  it("of an earlier daemon is no longer asked after once the place is closed", async () => {
    const place = opened();
    const heard: string[] = [];
    place.onCapacity(() => void heard.push(`${place.tasks} tasks`));
    const left = place.adopt(["r#1"]);
    await clock.settle();
    await place.close(true);
    expect([(await left).size, clock.timers, heard]).toEqual([0, 0, []]);
  });

  it("of an earlier daemon had begun for sure only by what the last runner left", async () => {
    const place = opened();
    const heard: string[] = [];
    place.onCapacity(() => void heard.push(`${place.tasks} tasks`));
    void place.adopt(["r#1", "r#4"]);
    await clock.settle();
    const known = (): unknown => ["r#1", "r#4", "other#1"].map((id) => place.mayHaveBegun(id));
    // Nobody knows yet what is left there.
    expect(known()).toEqual([true, true, undefined]);
    const answer = { version: "9.9.9", protocol: 1 };
    const claims = { runner: "6.1", runs: { r: { from: 3, begun: [] } } };
    played.taken = [{ ok: true, answer: { ...answer, claims } }] as unknown as Taken[];
    played.hear({ kind: "up" });
    await clock.settle();
    expect(known()).toEqual([true, "not here", undefined]);
    expect(heard).toContain("0 tasks");
    // A connection that comes back tells of this daemon's own runners.
    const own = { runner: "7.1", runs: { r: { from: 9, begun: [4] } } };
    played.taken = [{ ok: true, answer: { ...answer, claims: own } }] as unknown as Taken[];
    played.hear({ kind: "down", because: "it broke" });
    played.hear({ kind: "up" });
    await clock.settle();
    expect(known()).toEqual([true, "not here", undefined]);
    await place.close(true);
  });

  it.each([
    ["7.3", { claims: { runner: "7.3", runs: {} } }],
    ["7.2", {}],
    [undefined, {}],
  ])("whose runner is gone is told by its own claims alone: %s", async (runner, told) => {
    const place = await ready();
    const answer = { version: "9.9.9", protocol: 1, claims: runner && { runner, runs: {} } };
    played.taken = [{ ok: true, answer }] as unknown as Taken[];
    const sure = played.stream!.end!("orchd-own.3", 3);
    await clock.advance(100);
    expect(await sure).toEqual(told);
    await place.close(true);
  });

  it("whose runner's command has ended is sure to be gone, or its lease is over", async () => {
    const place = await ready();
    const { stream } = played;
    played.commands = [];
    played.taken = [
      { ok: false, because: "busy" },
      { ok: false, because: "over", isOver: true },
    ];
    const sure = stream!.end!("orchd-own.3", 3);
    await clock.advance(99);
    expect(played.commands).toEqual([]);
    await clock.advance(101);
    expect(await sure).toEqual({});
    expect(takes().map((one) => one.includes("orchd-own.3"))).toEqual([true, true]);
    played.hear({ kind: "down", because: "it broke" });
    const unsure = stream!.end!("orchd-own.4", 4);
    const { PATIENCE_MS } = await import("../../../src/places/pool/wire.ts");
    await clock.advance(PATIENCE_MS + 200);
    expect(await unsure).toBeUndefined();
    expect(played.commands).toHaveLength(2);
    await place.close(true);
  });

  it.each([
    [255, "Connection reset", "lost its connection: Connection reset"],
    [255, "", "lost its connection"],
    [1, "x\nTypeError [E]: no\nError: two: no\n\nNode v20", "ended with status 1: Error: two: no"],
    [1, "nothing of note", undefined],
  ])("whose runner ended with %i and %j: %s", async (status, said, text) => {
    const place = await ready();
    expect(played.stream!.explain!({ status, said } as never)).toBe(text);
    expect(played.stream!.where).toBe("on gpu1");
    expect(played.stream!.folder).toBe("/far/files/9.9.9-x");
    await place.close(true);
  });
});
