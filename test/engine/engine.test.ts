import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import type { Schedule } from "../../src/core/schedule/schedule-schema.ts";
import { readPipeline } from "../../src/views/pipeline-reading.ts";
import { viewPipeline } from "../../src/views/pipeline-view.ts";
import { EngineRig, pipelineOf, type FileContent } from "../support/engine-rig.ts";
import { scheduleOf } from "../support/given-schedule.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { SyncDisk } from "../support/sync-disk.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const minutely = scheduleOf({ cron: "* * * * *" });

function rig(options: Partial<ConstructorParameters<typeof EngineRig>[0]> = {}): EngineRig {
  return new EngineRig({ runs: tempRoot().runs, ...options });
}

/** A clock by which each look at it takes long, once it is slow: so does the machine. */
class SlowClock extends VirtualClock {
  isSlow = false;
  #lostMs = 0;
  override now(): number {
    return super.now() + this.#lostMs;
  }
  override monotonic(): number {
    if (this.isSlow) this.#lostMs += 50;
    return super.monotonic() + this.#lostMs;
  }
}

describe("forty slots that are due at once, on a machine that is slow", () => {
  const names = Array.from({ length: 40 }, (_, n) => `p${String(n).padStart(2, "0")}`);
  const idOf = (name: string): string => `${name}@20261123T020100Z`;
  const fired = (there: EngineRig): string[] =>
    names.filter((name) => there.slots(name).join() === "fired 02:01:00");

  /** What each turn of the event loop that was asked for does; none of them has come. */
  async function fortyDue(): Promise<{
    there: EngineRig;
    clock: SlowClock;
    turns: (() => void)[];
  }> {
    const clock = new SlowClock({ start: "2026-11-23T02:00:30Z" });
    const there = rig({ clock });
    await there.up();
    for (const name of names) there.put(pipelineOf(name, [minutely]));
    await there.told(names.map((name) => `/nowhere/${name}.yaml`));
    const turns: (() => void)[] = [];
    const later = vi.spyOn(globalThis, "setImmediate").mockImplementation(((act: () => void) => {
      turns.push(act);
    }) as never);
    clock.isSlow = true;
    await clock.advance(30_000);
    clock.isSlow = false;
    later.mockRestore();
    return { there, clock, turns };
  }

  test("are decided sixteen in a turn of the event loop", async () => {
    const { there, clock, turns } = await fortyDue();
    expect(turns).toHaveLength(1);
    turns[0]!();
    await clock.advance(1_000);
    expect(fired(there)).toEqual(names);
    await there.down();
  });

  test("are all decided before the first of their runs is made", async () => {
    const { there, turns } = await fortyDue();
    const made = (): number =>
      names.filter((name) => existsSync(there.store.runLedger(idOf(name)))).length;
    expect(made()).toBe(0);
    const decided = there.clock.now();
    turns[0]!();
    await there.clock.advance(1_000);
    const headers = names.map((name) => readWholeLedger(there.store.runLedger(idOf(name)))[0]!);
    expect(headers.filter(({ at }) => Date.parse(at) > decided)).toEqual([]);
    await there.down();
  });

  test("are decided where the daemon is stopped between two turns, and once", async () => {
    const { there, turns } = await fortyDue();
    const down = there.down();
    turns[0]!();
    await down;
    expect(fired(there)).toEqual(names);
  });
});

describe("a slot that is due", () => {
  test("is fired in its second, with its run's ledger and one line", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    await there.clock.advance(125_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    const fired = there.lines("p").find(({ type }) => type === "slot.fired")!;
    expect(fired).toMatchObject({
      slot: "2026-11-23T02:01:00.000Z",
      run: "p@20261123T020100Z",
      through: "2026-11-23T02:01:00.000Z",
      latenessMs: 0,
    });
    const lines = readWholeLedger(there.store.runLedger("p@20261123T020100Z"));
    expect(lines.map(({ type }) => type)).toEqual(["run.submitted", "run.started", "run.finished"]);
    expect(lines[0]!["trigger"]).toEqual({
      kind: "schedule",
      scheduledFor: "2026-11-23T02:01:00.000Z",
    });
    readWholeLedger(there.store.pipelineLedger("p"));
    await there.down();
    expect(there.clock.timers).toBe(0);
  });
});

describe("the slots of one due time", () => {
  const lane = (name: string): Schedule =>
    scheduleOf({ cron: "* * * * *", name, params: { name } });

  test.each([1, 2])("have one decision each where a torn write left %i of 3", async (left) => {
    const there = rig();
    there.put(pipelineOf("p", ["x", "y", "z"].map(lane), { overlap: "allow" }));
    await there.up();
    await there.clock.advance(61_000);
    await there.kill();
    const path = there.store.pipelineLedger("p");
    const text = readFileSync(path, "utf8");
    const fired = text.split("\n").filter((line) => line.includes('"type":"slot.fired"'));
    expect(fired).toHaveLength(3);
    // What the disk kept: some whole lines of the write, and a part of the next one.
    writeFileSync(path, text.slice(0, text.indexOf(fired[left]!) + 20));
    await there.up();
    await there.clock.advance(1_000);
    const decided = there.lines("p").filter(({ type }) => type === "slot.fired");
    expect(decided.map(({ slot, schedule }) => `${String(slot)} ${String(schedule)}`)).toEqual([
      "2026-11-23T02:01:00.000Z x",
      "2026-11-23T02:01:00.000Z y",
      "2026-11-23T02:01:00.000Z z",
    ]);
    await there.down();
  });

  test("are one write, however many, and only the last line moves the watermark", async () => {
    const there = rig();
    const lanes = Array.from({ length: 260 }, (_, index) => lane(`s${index}`));
    await there.up();
    await there.drop(pipelineOf("p", lanes, { overlap: "allow", shadow: true }));
    await there.clock.advance(61_000);
    const fired = there.lines("p").filter(({ type }) => type === "slot.fired");
    expect(fired).toHaveLength(260);
    expect(new Set(fired.map(({ b }) => b)).size).toBe(1);
    expect(fired.flatMap(({ through }, index) => (through === undefined ? [] : [index]))).toEqual([
      259,
    ]);
    await there.down();
  });
});

test("a run's end stands after its beginning, though another run takes long to make", async () => {
  const there = rig();
  await there.up();
  const lanes = ["x", "y"].map((name) => scheduleOf({ cron: "* * * * *", name, params: { name } }));
  await there.drop(pipelineOf("p", lanes, { overlap: "allow" }));
  const create = there.runs.create.bind(there.runs);
  there.runs.create = async (header) => {
    if (header.run.endsWith(".y"))
      await new Promise<void>((resolve) => void there.clock.after(20_000, resolve));
    return create(header);
  };
  // The run of lane x takes a second, and its line waits for the run of lane y.
  await there.clock.advance(90_000);
  const of = (lane: string): string[] =>
    there
      .lines("p")
      .filter(({ run }) => String(run).endsWith(`.${lane}`))
      .map(({ type }) => type);
  expect(of("x")).toEqual(["slot.fired", "run.started", "run.finished"]);
  expect(of("y")).toEqual(["slot.fired", "run.started", "run.finished"]);
  await there.down();
});

/** A disk on which what is added to one file waits. */
class HeldDisk extends SyncDisk {
  /** The end of its path. */
  readonly #held: string;
  readonly #waiting: (() => void)[] = [];
  /** By descriptor, how long it was. */
  #lengths = new Map<number, number>();

  constructor(held: string) {
    super();
    this.#held = held;
  }

  override async open(path: string, flags: string | number, mode?: number): Promise<number> {
    const fd = await super.open(path, flags, mode);
    if (path.endsWith(this.#held)) this.#lengths.set(fd, statSync(path).size);
    return fd;
  }

  override async write(
    ...[fd, bytes, offset, position]: Parameters<SyncDisk["write"]>
  ): Promise<number> {
    if (position >= (this.#lengths.get(fd) ?? Number.POSITIVE_INFINITY))
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return super.write(fd, bytes, offset, position);
  }

  go(): void {
    this.#lengths = new Map();
    for (const go of this.#waiting.splice(0)) go();
  }
}

describe("catch-up", () => {
  test("very many slots of one pipeline hold up no other's", async () => {
    const there = rig();
    there.put(pipelineOf("much", [minutely]));
    there.put(pipelineOf("other", [minutely]));
    await there.up();
    await there.take("other");
    await there.down();
    await there.clock.advance(12 * 3_600_000);
    const disk = new HeldDisk("much/pipeline.jsonl");
    there.put(pipelineOf("other", [minutely]));
    await there.up(disk);
    await there.clock.advance(120_000);
    expect(there.slots("much")).toEqual([]);
    expect(there.slots("other")).toEqual(["fired 14:01:00", "fired 14:02:00"]);
    disk.go();
    await there.clock.advance(60_000);
    const slots = there.slots("much");
    expect([slots.length, new Set(slots).size]).toEqual([723, 723]);
    expect(slots.slice(-4)).toEqual([
      "caught_up 14:00:00",
      "skipped 14:01:00",
      "skipped 14:02:00",
      "fired 14:03:00",
    ]);
  });

  test("a daemon that was down decides each slot once, and names the downtime", async () => {
    const there = rig();
    there.put(pipelineOf("none", [scheduleOf({ cron: "* * * * *", catchUp: "none" })]));
    there.put(pipelineOf("latest", [minutely]));
    there.put(pipelineOf("all", [scheduleOf({ cron: "* * * * *", catchUp: "all" })]));
    await there.up();
    await there.clock.advance(61_000);
    await there.down();
    await there.clock.advance(180_000);
    await there.up();
    await there.clock.advance(60_000);
    expect(there.slots("none")).toEqual([
      "fired 02:01:00",
      "missed 02:02:00",
      "missed 02:03:00",
      "missed 02:04:00",
      "fired 02:05:00",
    ]);
    expect(there.slots("latest")).toEqual([
      "fired 02:01:00",
      "missed 02:02:00",
      "missed 02:03:00",
      "caught_up 02:04:00",
      "fired 02:05:00",
    ]);
    expect(there.slots("all")).toEqual([
      "fired 02:01:00",
      "caught_up 02:02:00",
      "caught_up 02:03:00",
      "caught_up 02:04:00",
      "fired 02:05:00",
    ]);
    expect(
      there.lines("latest").find(({ slot }) => slot === "2026-11-23T02:02:00.000Z")!["because"],
    ).toContain("no daemon was up until 2026-11-23T02:04:01.000Z");
    // They wait for each other, in slot order, whatever overlap says.
    expect(there.runs.started.filter((run) => run.startsWith("all"))).toEqual([
      "all@20261123T020200Z",
      "all@20261123T020300Z",
      "all@20261123T020400Z",
      "all@20261123T020500Z",
    ]);
  });

  test("wherever a crash comes around a fire, the slot has one line and one run", async () => {
    const seen = new Set<string>();
    for (let call = 1; call <= 24; call += 1) {
      const there = rig();
      await there.up();
      await there.drop(pipelineOf("p", [minutely]));
      await there.clock.advance(59_000);
      there.disk.diesAt = there.disk.calls + call;
      await there.clock.advance(3_000);
      const died = there.fatal !== undefined;
      const adopted = there.store.exists("p@20261123T020100Z") && there.slots("p").length === 0;
      await there.kill();
      await there.up();
      await there.clock.advance(60_000);
      const [first, ...rest] = there.slots("p");
      seen.add(`${adopted ? "adopted" : died ? "died" : "lived"}: ${first}`);
      expect(["fired 02:01:00", "caught_up 02:01:00"]).toContain(first);
      expect(rest).toEqual(["fired 02:02:00"]);
      if (adopted) expect(first).toBe("fired 02:01:00");
      expect(there.lines("p").filter(({ type }) => type === "run.finished")).toHaveLength(2);
    }
    expect([...seen].sort()).toEqual([
      "adopted: fired 02:01:00",
      "died: caught_up 02:01:00",
      "died: fired 02:01:00",
      "lived: fired 02:01:00",
    ]);
  });
});

describe("overlap", () => {
  const long = { durationOf: () => 150_000 };

  test("skip, queue and allow, each with its reason", async () => {
    const there = rig({ script: long });
    there.put(pipelineOf("skip", [minutely]));
    there.put(pipelineOf("queue", [minutely], { overlap: "queue" }));
    there.put(pipelineOf("allow", [minutely], { overlap: "allow" }));
    await there.up();
    await there.clock.advance(4 * 60_000 + 1_000);
    expect(there.slots("skip")).toEqual([
      "fired 02:01:00",
      "skipped 02:02:00",
      "skipped 02:03:00",
      "fired 02:04:00",
    ]);
    expect(there.lines("skip").find(({ type }) => type === "slot.skipped")!["because"]).toBe(
      "run skip@20261123T020100Z still goes on; overlap is skip",
    );
    expect(there.slots("queue")).toEqual([
      "fired 02:01:00",
      "fired 02:02:00",
      "skipped 02:03:00",
      "fired 02:04:00",
    ]);
    expect(
      there
        .lines("queue")
        .filter(({ type }) => type === "run.queued")
        .map(({ run }) => run),
    ).toEqual(["queue@20261123T020200Z", "queue@20261123T020400Z"]);
    expect(there.slots("allow")).toEqual([
      "fired 02:01:00",
      "fired 02:02:00",
      "fired 02:03:00",
      "fired 02:04:00",
    ]);
  });

  test("cancel and terminate make room: the newer run waits for the older's end", async () => {
    const there = rig({ script: { ...long, stopMs: 60_000 } });
    there.put(pipelineOf("cancel", [scheduleOf({ cron: "1-2 2 * * *" })], { overlap: "cancel" }));
    there.put(
      pipelineOf("terminate", [scheduleOf({ cron: "1-2 2 * * *" })], { overlap: "terminate" }),
    );
    await there.up();
    await there.clock.advance(121_000);
    const stops = (run: string) =>
      readWholeLedger(there.store.runLedger(run))
        .filter(({ type }) => type === "run.stop_requested")
        .map(({ mode }) => mode);
    expect(stops("terminate@20261123T020100Z")).toEqual(["force"]);
    expect(stops("cancel@20261123T020100Z")).toEqual(["graceful"]);
    expect(there.runs.live.get("cancel@20261123T020200Z")!.state.phase).toBe("queued");
    // The grace period is ten seconds.
    await there.clock.advance(10_000);
    expect(stops("cancel@20261123T020100Z")).toEqual(["graceful", "force"]);
    expect(there.runs.live.get("cancel@20261123T020200Z")!.state.phase).toBe("started");
    expect(
      there
        .lines("cancel")
        .filter(({ type }) => type === "run.finished")
        .map(({ status }) => status),
    ).toEqual(["stopped"]);
  });

  test("a concurrency group is shared, and the higher priority goes first", async () => {
    const there = rig({
      script: { durationOf: () => 30_000 },
      settings: { concurrency: { db: { limit: 1 } } },
    });
    const once = scheduleOf({ cron: "1 2 * * *" });
    there.put(pipelineOf("a", [once], { concurrency: { group: "db", priority: 0 } }));
    there.put(pipelineOf("b", [once], { concurrency: { group: "db", priority: 0 } }));
    there.put(pipelineOf("c", [once], { concurrency: { group: "db", priority: 5 } }));
    await there.up();
    await there.clock.advance(61_000);
    expect(there.runs.started).toHaveLength(1);
    await there.clock.advance(90_000);
    expect(there.runs.started.slice(1)[0]).toBe("c@20261123T020100Z");
    expect(there.lines("b").find(({ type }) => type === "run.queued")!["because"]).toBe(
      'the concurrency group "db" is full: 1 of 1',
    );
    // The reason for a later wait is derived from these limits.
    const own = readWholeLedger(there.store.runLedger("b@20261123T020100Z"));
    expect(own[0]!["group"]).toBe("db");
    expect(own.find(({ type }) => type === "run.queued")!["limits"]).toEqual({ lane: 1, group: 1 });
  });

  test("a slot that need not wait is not skipped for the full queue of its group", async () => {
    const there = rig({
      script: long,
      settings: { concurrency: { db: { limit: 2, maxQueued: 1 } } },
    });
    const group = { concurrency: { group: "db", priority: 0 } };
    there.put(
      pipelineOf("a", [scheduleOf({ cron: "1,2 2 * * *" })], { overlap: "queue", ...group }),
    );
    there.put(pipelineOf("b", [scheduleOf({ cron: "3 2 * * *" })], group));
    await there.up();
    await there.clock.advance(181_000);
    // The second run of a waits for the first run, not for the group.
    expect(there.slots("a")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    expect(there.slots("b")).toEqual(["fired 02:03:00"]);
    expect(there.runs.started).toEqual(["a@20261123T020100Z", "b@20261123T020300Z"]);
  });

  test("a waiting run waits again after a restart, and starts in its turn", async () => {
    const there = rig({ script: long });
    await there.up();
    await there.drop(pipelineOf("p", [scheduleOf({ cron: "1-2 2 * * *" })], { overlap: "queue" }));
    await there.clock.advance(125_000);
    await there.kill();
    await there.up();
    expect(there.engine.runs.busy("p")).toEqual({
      running: ["p@20261123T020100Z"],
      queued: ["p@20261123T020200Z"],
    });
    await there.clock.advance(310_000);
    expect(
      there
        .lines("p")
        .filter(({ type }) => type === "run.finished")
        .map(({ run }) => run),
    ).toEqual(["p@20261123T020100Z", "p@20261123T020200Z"]);
  });
});

describe("files", () => {
  test("a bad edit leaves the last good version firing, across a restart too", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    await there.spoil("p");
    await there.clock.advance(61_000);
    await there.down();
    await there.up();
    await there.clock.advance(60_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    expect(
      there
        .lines("p")
        .filter(({ type }) => type.startsWith("pipeline."))
        .map(({ type }) => type),
    ).toEqual(["pipeline.loaded", "pipeline.invalid"]);
  });

  test("a changed schedule counts from its load; the old one's due slots come first", async () => {
    const there = rig();
    await there.up();
    await there.drop(
      pipelineOf("p", [scheduleOf({ cron: "* * * * *", jitterSeconds: 600, catchUp: "none" })]),
    );
    await there.clock.advance(150_000);
    const pending = there.slots("p").length;
    expect(pending).toBeLessThan(2);
    await there.drop(pipelineOf("p", [scheduleOf({ cron: "0 * * * *" })]));
    // Both minutes had passed: only jitter held one or both of them back.
    expect(there.slots("p").filter((line) => line !== "").length).toBe(2);
    await there.clock.advance(3_600_000);
    expect(there.slots("p").at(-1)).toBe("fired 03:00:00");
    expect(there.slots("p")).toHaveLength(3);
  });

  test("a removed pipeline fires no more; the first of two files has their name", async () => {
    const there = rig();
    const second = pipelineOf("p", [minutely], { file: "/nowhere/z.yaml", tags: ["second"] });
    there.put(pipelineOf("p", [minutely]));
    there.put(second);
    await there.up();
    expect(there.lines("z")[0]).toMatchObject({
      type: "pipeline.invalid",
      errors: [
        '/nowhere/z.yaml: the name "p" is taken by /nowhere/p.yaml; ' +
          "give this pipeline another name",
      ],
    });
    await there.take("p");
    await there.clock.advance(61_000);
    expect(there.lines("p").map(({ type }) => type)).toContain("pipeline.loaded");
    expect(there.slots("p")).toEqual(["fired 02:01:00"]);
    there.files.delete(second.file);
    await there.settling(there.engine.filesChanged({ changed: [], removed: [second.file] }));
    await there.clock.advance(120_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00"]);
    expect(there.lines("p").at(-1)!.type).toBe("pipeline.removed");
  });
});

test("a removed pipeline whose file comes back bad is invalid until it goes again", async () => {
  const there = rig();
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  await there.take("p");
  await there.spoil("p");
  const view = () => viewPipeline("p", readPipeline(there.store, "p")!, there.clock.now());
  expect(view()).toMatchObject({
    valid: false,
    errors: ["/nowhere/p.yaml: it is bad"],
    nextFire: null,
  });
  expect(view().removed).toBeUndefined();
  await there.take("p");
  expect(view()).toMatchObject({ errors: [], removed: true });
  await there.clock.advance(61_000);
  expect(there.slots("p")).toEqual([]);
});

describe("a file that claims another's name", () => {
  const taken =
    '/nowhere/z.yaml: the name "p" is taken by /nowhere/p.yaml; give this pipeline another name';
  const typesOf = (there: EngineRig, name: string): string[] =>
    there.lines(name).map(({ type }) => type);

  test("is refused under its own name, from the start on, until it no longer does", async () => {
    const there = rig();
    const thief = pipelineOf("p", [], { file: "/nowhere/z.yaml" });
    there.put(pipelineOf("p", [minutely]));
    there.put(thief);
    await there.up();
    expect(typesOf(there, "z")).toEqual(["pipeline.invalid"]);
    await there.down();
    await there.up();
    expect(typesOf(there, "z")).toEqual(["pipeline.invalid"]);
    await there.drop(pipelineOf("q", [], { file: "/nowhere/z.yaml" }));
    expect(typesOf(there, "z")).toEqual(["pipeline.invalid", "pipeline.removed"]);
    expect(typesOf(there, "q")).toEqual(["pipeline.loaded"]);
  });

  test("leaves the pipeline that it defined before firing, across a restart too", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", []));
    await there.drop(pipelineOf("z", [minutely]));
    await there.drop(pipelineOf("p", [], { file: "/nowhere/z.yaml" }));
    await there.clock.advance(61_000);
    await there.down();
    await there.up();
    await there.clock.advance(60_000);
    expect(there.slots("z")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    expect(there.lines("z").filter(({ type }) => type === "pipeline.invalid")).toMatchObject([
      { errors: [taken] },
    ]);
    // The other file goes: the name is free, and the claim is good.
    await there.take("p");
    await there.clock.advance(120_000);
    expect(there.slots("z")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    expect(typesOf(there, "z").at(-1)).toBe("pipeline.removed");
  });
});

describe("the file that a pipeline was loaded from", () => {
  const at = (file: string, ...tags: string[]) =>
    pipelineOf("p", [minutely], { file: `/nowhere/${file}.yaml`, tags });
  const refusal = (copy: string, holder: string): string =>
    `/nowhere/${copy}.yaml: the name "p" is taken by /nowhere/${holder}.yaml; ` +
    "give this pipeline another name";
  const ofType = (there: EngineRig, name: string, type: string) =>
    there.lines(name).filter((line) => line.type === type);
  /** The files that the pipeline was loaded from, in order. */
  const loads = (there: EngineRig): unknown[] =>
    ofType(there, "p", "pipeline.loaded").map(({ file }) => file);
  const restart = async (there: EngineRig): Promise<void> => {
    await there.down();
    await there.up();
  };
  const inForce = (there: EngineRig): readonly string[] | undefined =>
    [...there.engine.desks()].find(({ name }) => name === "p")?.loaded?.tags;

  test("keeps its name beside a copy that sorts before it, over restarts too", async () => {
    const there = rig();
    await there.up();
    await there.drop(at("p", "first"));
    await there.drop(at("a-p", "copy"));
    expect(ofType(there, "a-p", "pipeline.invalid")).toMatchObject([
      { errors: [refusal("a-p", "p")] },
    ]);
    await there.drop(at("p", "edited"));
    expect(inForce(there)).toEqual(["edited"]);
    await restart(there);
    expect(inForce(there)).toEqual(["edited"]);
    await there.drop(at("p", "again"));
    await there.clock.advance(61_000);
    expect(inForce(there)).toEqual(["again"]);
    expect(loads(there)).toEqual(Array(3).fill("/nowhere/p.yaml"));
    expect(ofType(there, "p", "pipeline.invalid")).toEqual([]);
    expect(ofType(there, "a-p", "pipeline.invalid")).toHaveLength(1);
  });

  test("keeps its name while it is bad, and while it takes long to be loaded", async () => {
    const there = rig();
    await there.up();
    await there.drop(at("p", "good"));
    await there.drop(at("a-p", "copy"));
    await there.spoil("p");
    expect(inForce(there)).toEqual(["good"]);
    await restart(there);
    expect(inForce(there)).toEqual(["good"]);
    await there.drop(at("a-p", "edited copy"));
    expect(inForce(there)).toEqual(["good"]);
    await there.down();
    there.files.set("/nowhere/p.yaml", new Promise<FileContent>(() => undefined));
    const up = there.up();
    await there.clock.advance(10_001);
    await up;
    expect(inForce(there)).toEqual(["good"]);
    await there.clock.advance(60_000);
    expect(there.slots("p").at(-1)).toMatch(/^fired/);
    expect(loads(there)).toEqual(["/nowhere/p.yaml"]);
  });

  test("is not marked by what becomes of the copy", async () => {
    const there = rig();
    await there.up();
    await there.drop(at("p"));
    await there.drop(at("a-p", "copy"));
    await there.spoil("a-p");
    await restart(there);
    expect(ofType(there, "p", "pipeline.invalid")).toEqual([]);
    expect(ofType(there, "a-p", "pipeline.invalid").at(-1)).toMatchObject({
      errors: ["/nowhere/a-p.yaml: it is bad"],
    });
    await there.take("a-p");
    expect(ofType(there, "a-p", "pipeline.removed")).toHaveLength(1);
    expect(ofType(there, "p", "pipeline.removed")).toEqual([]);
  });

  test("gives its name to a copy when it goes, or takes another name", async () => {
    const there = rig();
    await there.up();
    await there.drop(at("p"));
    await there.drop(at("a-p", "copy"));
    await there.drop(at("z-p", "other copy"));
    await there.take("p");
    expect(inForce(there)).toEqual(["copy"]);
    // Now the copy holds the name, also against the file that comes back.
    await there.drop(at("p", "back"));
    await restart(there);
    expect(inForce(there)).toEqual(["copy"]);
    expect(ofType(there, "p", "pipeline.invalid").at(-1)).toMatchObject({
      errors: [refusal("p", "a-p")],
    });
    await there.drop(pipelineOf("q", [], { file: "/nowhere/a-p.yaml" }));
    expect(inForce(there)).toEqual(["back"]);
    expect(ofType(there, "p", "pipeline.removed")).toEqual([]);
  });

  test("is renamed without a gap and without a word, and keeps its name then", async () => {
    const there = rig();
    await there.up();
    await there.drop(at("p"));
    await there.clock.advance(61_000);
    // The new name is seen at once; that the old one is gone counts a moment later.
    there.files.delete("/nowhere/p.yaml");
    there.put({ ...at("p"), file: "/nowhere/z.yaml" });
    await there.settling(
      there.engine.filesChanged({
        changed: ["/nowhere/z.yaml"],
        removed: [],
        missing: ["/nowhere/p.yaml"],
      }),
    );
    await there.settling(there.engine.filesChanged({ changed: [], removed: ["/nowhere/p.yaml"] }));
    await there.clock.advance(60_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    expect(there.lines("p").filter(({ type }) => /invalid|removed/.test(type))).toEqual([]);
    expect(loads(there)).toEqual(["/nowhere/p.yaml", "/nowhere/z.yaml"]);
    await there.drop(at("a-p", "copy"));
    await restart(there);
    expect(inForce(there)).toEqual([]);
    await there.clock.advance(60_000);
    expect(there.slots("p")).toHaveLength(3);
  });

  test("is known by what it says, if it was renamed while no daemon was up", async () => {
    const there = rig();
    await there.up();
    await there.drop(at("p"));
    await there.drop(at("a-p", "copy"));
    await there.down();
    there.files.delete("/nowhere/p.yaml");
    there.put({ ...at("p"), file: "/nowhere/z.yaml" });
    await there.up();
    expect(inForce(there)).toEqual([]);
    expect(loads(there)).toEqual(["/nowhere/p.yaml", "/nowhere/z.yaml"]);
  });

  test("is found again after a move of the whole folder", async () => {
    const there = rig();
    await there.up();
    await there.drop(at("p"));
    await there.down();
    there.files.clear();
    there.put({ ...at("p"), file: "/moved/p.yaml" });
    there.put({ ...at("a-p", "copy"), file: "/moved/a-p.yaml" });
    await there.up();
    expect(inForce(there)).toEqual([]);
  });
});

describe("a file that takes long to be loaded", () => {
  /** A file that is loaded when the test says so. */
  function slow(there: EngineRig, path: string): (content: FileContent) => Promise<void> {
    let end!: (content: FileContent) => void;
    there.files.set(path, new Promise<FileContent>((resolve) => (end = resolve)));
    return async (content) => {
      end(content);
      await there.clock.settle();
      await there.clock.settle();
    };
  }

  test("keeps the others waiting for some seconds, and is in force once loaded", async () => {
    const there = rig();
    const end = slow(there, "/nowhere/slow.yaml");
    there.put(pipelineOf("p", [minutely]));
    const up = there.up();
    await there.clock.advance(10_001);
    await up;
    await there.clock.advance(120_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    await end(pipelineOf("slow", [minutely]));
    await there.clock.advance(60_000);
    expect(there.slots("slow")).toEqual(["fired 02:03:00"]);
    await there.down();
    expect(there.clock.timers).toBe(0);
  });

  test("leaves its last version in force meanwhile, across a restart too", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    slow(there, "/nowhere/p.yaml");
    const told = there.told(["/nowhere/p.yaml"]);
    await there.clock.advance(61_000);
    await told;
    await there.down();
    const up = there.up();
    await there.clock.advance(10_001);
    await up;
    await there.clock.advance(60_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
    expect(there.lines("p").filter(({ type }) => type.startsWith("pipeline."))).toHaveLength(1);
  });

  test("is forgotten if it changed or went meanwhile", async () => {
    const there = rig();
    await there.up();
    const end = slow(there, "/nowhere/p.yaml");
    let told = there.told(["/nowhere/p.yaml"]);
    await there.clock.advance(4_001);
    await told;
    await there.drop(pipelineOf("p", [minutely], { tags: ["new"] }));
    await end(pipelineOf("p", [minutely], { tags: ["old"] }));
    expect(there.lines("p").filter(({ type }) => type === "pipeline.loaded")).toHaveLength(1);

    const endAgain = slow(there, "/nowhere/p.yaml");
    told = there.told(["/nowhere/p.yaml"]);
    await there.clock.advance(4_001);
    await told;
    await there.take("p");
    await endAgain(pipelineOf("p", [minutely], { tags: ["late"] }));
    expect(there.lines("p").at(-1)!.type).toBe("pipeline.removed");
  });
});

describe("the clock", () => {
  test("a jump ahead is noticed within a minute and caught up, with its reason", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [scheduleOf({ cron: "*/10 * * * *" })]));
    await there.clock.advance(60_000);
    there.clock.step(6 * 3_600_000);
    await there.clock.advance(60_000);
    expect(there.slots("p").at(-1)).toBe("caught_up 08:00:00");
    expect(there.slots("p")).toHaveLength(36);
    expect(there.lines("p").find(({ type }) => type === "clock.stepped")).toBeDefined();
    expect(String(there.lines("p").at(-4)!["because"])).toContain("the clock jumped from");
  });

  test("a jump back fires nothing again and goes on", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    await there.clock.advance(301_000);
    expect(there.slots("p")).toHaveLength(5);
    there.clock.step(-180_000);
    await there.clock.advance(30_000);
    expect(there.lines("p").at(-1)).toMatchObject({ type: "clock.stepped" });
    await there.clock.advance(300_000);
    const fired = there.slots("p");
    expect(new Set(fired).size).toBe(fired.length);
    expect(fired.at(-1)).toBe("fired 02:07:00");
    expect(fired).toHaveLength(7);
  });

  test("a jump back over more slots than are remembered decides none of them again", async () => {
    const there = rig();
    await there.up();
    // In shadow no run's ledger says so either, nor does one that retention removed.
    await there.drop(pipelineOf("p", [scheduleOf({ cron: "* * * * * *" })], { shadow: true }));
    await there.clock.advance(2_400_000);
    expect(there.slots("p")).toHaveLength(2_400);
    there.clock.step(-2_390_000);
    await there.clock.advance(60_000);
    expect(there.lines("p").filter(({ type }) => type === "clock.stepped")).toHaveLength(1);
    const ahead = there.slots("p");
    expect(ahead).toHaveLength(2_400);
    // Nor does the next daemon, which knows of them from a checkpoint or this line.
    await there.down();
    await there.up();
    await there.clock.advance(2_400_000);
    const all = there.slots("p");
    expect(new Set(all.map((slot) => slot.replace(/^\w+ /, ""))).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(2_400);
  });

  test("an edit that comes before a jump back is noticed loses no slot", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    await there.clock.advance(301_000);
    // Nothing wakes the scheduler before 02:03:00, when it notices.
    there.clock.step(-129_000);
    await there.drop(
      pipelineOf("p", [
        scheduleOf({ cron: "* * * * *", jitterSeconds: 0, catchUp: "all", maxCatchUp: 7 }),
      ]),
    );
    await there.clock.advance(300_000);
    const all = there.slots("p");
    expect(new Set(all).size).toBe(all.length);
    expect(all.slice(-2)).toEqual(["fired 02:06:00", "fired 02:07:00"]);
    expect(there.lines("p").filter(({ type }) => type === "clock.stepped")).toHaveLength(1);
    const { seq, through } = there.lines("p").findLast(({ type }) => type === "pipeline.loaded")!;
    expect(through).toBe("2026-11-23T02:02:52.000Z");
    expect(there.lines("p").find(({ type }) => type === "clock.stepped")!.seq).toBeLessThan(seq);
  });

  test("a glitch to 2036 and back does not silence a pipeline", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    await there.clock.advance(61_000);
    const decade = 10 * 365 * 86_400_000;
    there.clock.step(decade);
    await there.clock.advance(60_000);
    there.clock.step(-decade);
    await there.clock.advance(180_000);
    expect(there.slots("p").slice(-2)).toEqual(["fired 02:04:00", "fired 02:05:00"]);
  });

  test("a run that a clock ahead made gets its lost line once the clock is right", async () => {
    const day = 86_400_000;
    let left = 0;
    for (let call = 1; call <= 16; call += 1) {
      const there = rig();
      await there.up();
      await there.drop(pipelineOf("p", [scheduleOf({ cron: "1 2 * * *" })]));
      await there.clock.advance(61_000);
      there.clock.step(day);
      there.disk.diesAt = there.disk.calls + call;
      await there.clock.advance(30_000);
      await there.kill();
      there.clock.step(-day);
      if (!there.store.exists("p@20261124T020100Z") || there.slots("p").length > 1) continue;
      left += 1;
      await there.up();
      await there.drop(pipelineOf("p", [scheduleOf({ cron: "0 0 1 1 *" })]));
      await there.clock.advance(60_000);
      expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:01:00"]);
      expect(there.lines("p").findLast(({ type }) => type === "run.finished")!["run"]).toBe(
        "p@20261124T020100Z",
      );
    }
    expect(left).toBeGreaterThan(0);
  });

  test("a daemon that starts before its clock was set waits", async () => {
    const there = rig();
    await there.up();
    await there.drop(pipelineOf("p", [minutely]));
    await there.clock.advance(61_000);
    await there.down();
    const lost = there.clock.now();
    there.clock.step(-lost);
    const up = there.up();
    up.catch(() => undefined);
    await there.clock.advance(5_000);
    expect(there.slots("p")).toHaveLength(1);
    there.clock.step(lost);
    await there.clock.advance(2_000);
    await up;
    await there.clock.advance(60_000);
    expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00"]);
  });
});

test("a daemon that is stopped before its clock was set ends, and decides nothing", async () => {
  const there = rig();
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  await there.clock.advance(61_000);
  await there.down();
  const lost = there.clock.now();
  const before = there.lines("p").length;
  there.clock.step(-lost);
  let isUp = false;
  const up = there.up().then(() => (isUp = true));
  await there.clock.advance(5_000);
  const stopped = there.engine.stop(60_000);
  await there.clock.advance(1_000);
  expect(isUp).toBe(true);
  await there.settling(stopped);
  await up;
  expect([there.lines("p").length, there.clock.timers]).toEqual([before, 0]);
  there.clock.step(lost);
  await there.up();
  await there.clock.advance(60_000);
  expect(there.slots("p").at(-1)).toMatch(/^(?:fired|caught_up) 02:02:00$/);
});

test("a paused pipeline skips its slots, and goes on when it is resumed", async () => {
  const there = rig();
  await there.up();
  await there.drop(pipelineOf("p", [minutely]));
  const desk = await there.engine.desk("p");
  await there.settling(desk.setPaused(true, { requestId: "r1", by: "me" }));
  await there.clock.advance(120_000);
  await there.down();
  await there.up();
  await there.settling(
    (await there.engine.desk("p")).setPaused(false, { requestId: "r2", by: "me" }),
  );
  await there.clock.advance(60_000);
  expect(there.slots("p")).toEqual(["skipped 02:01:00", "skipped 02:02:00", "fired 02:03:00"]);
  expect(there.lines("p").find(({ type }) => type === "slot.skipped")!["because"]).toBe(
    "paused: asked for by me",
  );
});

test("stopAfter ends a schedule, and a restart remembers how far it was", async () => {
  const there = rig();
  there.put(pipelineOf("p", [scheduleOf({ cron: "* * * * *", stopAfter: 3 })]));
  await there.up();
  await there.clock.advance(121_000);
  await there.down();
  await there.up();
  await there.clock.advance(600_000);
  expect(there.slots("p")).toEqual(["fired 02:01:00", "fired 02:02:00", "fired 02:03:00"]);
});

test(
  "a thousand pipelines due in the same second are decided together, and no timer is early",
  { timeout: 120_000 },
  async () => {
    const there = rig({ script: { durationOf: () => 100 } });
    const names = Array.from({ length: 1_000 }, (_, index) => `p${index}`);
    for (const name of names) there.put(pipelineOf(name, [minutely]));
    await there.up();
    await there.clock.advance(61_000);
    const allHave = (): boolean => names.every((name) => there.slots(name).length > 0);
    // A few go on in each turn. The clock stands still meanwhile.
    while (!allHave()) await there.clock.settle();
    for (const name of names) expect(there.slots(name)).toEqual(["fired 02:01:00"]);
    await there.down();
  },
);

test("a jump of the clock is recorded once, however many writes its slots take", async () => {
  const there = rig();
  const secondly = scheduleOf({ cron: "* * * * * *", catchUp: "all", maxCatchUp: 10_000 });
  await there.up();
  await there.drop(pipelineOf("p", [secondly], { shadow: true }));
  const jumps = (): unknown[] =>
    there
      .lines("p")
      .flatMap(({ type, from, to }) => (type === "clock.stepped" ? [[from, to]] : []));
  await there.clock.advance(2_000);
  for (const [count, from, to] of [
    [1, "02:00:03", "02:15:03"],
    [2, "02:15:04", "02:30:04"],
  ] as const) {
    there.clock.step(900_000);
    await there.clock.advance(1_000);
    expect(jumps()).toHaveLength(count);
    expect(jumps().at(-1)).toEqual([`2026-11-23T${from}.000Z`, `2026-11-23T${to}.000Z`]);
  }
  const decided = there.lines("p").filter(({ type }) => type.startsWith("slot."));
  expect(new Set(decided.map(({ slot }) => slot)).size).toBe(1_804);
  await there.down();
});

describe("runs that a restart took over count once", () => {
  const long = { script: { durationOf: () => 600_000 } };

  test.each<[string, Partial<Parameters<typeof rig>[0]>, object]>([
    ["of all", { settings: { maxActiveRuns: 2 } }, {}],
    [
      "of a group",
      { settings: { concurrency: { db: { limit: 2 } } } },
      { concurrency: { group: "db", priority: 0 } },
    ],
  ])("for the limit %s", async (_, settings, more) => {
    const there = rig({ ...long, ...settings });
    const at = (name: string, minute: number) =>
      pipelineOf(name, [scheduleOf({ cron: `${minute} 2 * * *` })], more);
    for (const [index, name] of ["p", "q", "r"].entries()) there.put(at(name, 1 + 2 * index));
    await there.up();
    await there.clock.advance(90_000);
    for (let restart = 0; restart < 2; restart += 1) {
      await there.kill();
      await there.up();
    }
    await there.clock.advance(240_000);
    const going = [...there.engine.runs.all()].map(({ ticket, going: goes }) => [
      ticket.pipeline,
      goes,
    ]);
    expect(going).toEqual([
      ["p", true],
      ["q", true],
      ["r", false],
    ]);
    await there.down();
  });
});
