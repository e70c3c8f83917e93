/** The supervisor under a virtual clock: when it starts a program, and what it tells. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Supervisor, type ChildListener } from "../../src/supervise/supervisor.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

interface Made {
  readonly program: string;
  readonly at: number;
  readonly listener: ChildListener;
  readonly told: string[];
  alive: boolean;
}

function rig({ throws = false, obeys = true, stillborn = false } = {}) {
  const clock = new VirtualClock();
  const log: [string, string][] = [];
  const note = (level: string) => (_: object, sentence: string) => void log.push([level, sentence]);
  const made: Made[] = [];
  const supervisor = new Supervisor<string>("the page", {
    clock,
    log: { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") },
    start(program, listener) {
      if (throws) throw new Error("EAGAIN");
      const one: Made = { program, at: clock.monotonic(), listener, told: [], alive: true };
      made.push(one);
      const go = (how: string): void => {
        if (!one.alive) return;
        one.alive = false;
        listener.gone(how);
      };
      if (stillborn) listener.gone("ended with status 127");
      return {
        pid: made.length,
        end: () => {
          one.told.push("end");
          if (obeys) queueMicrotask(() => go("ended with status 0"));
        },
        kill: () => {
          one.told.push("kill");
          queueMicrotask(() => go("was ended by SIGKILL"));
        },
      };
    },
  });
  const die = (how = "ended with status 1"): void => {
    const one = made.at(-1)!;
    one.alive = false;
    one.listener.gone(how);
  };
  return { clock, log, made, supervisor, die };
}

describe("the supervisor", () => {
  it("starts nothing unasked, and what is wanted at once", async () => {
    const { made, supervisor, clock } = rig();
    expect(supervisor.state).toBe("idle");
    supervisor.want(undefined);
    await clock.advance(100_000);
    expect(made).toEqual([]);
    supervisor.want("a");
    expect(supervisor.state).toBe("starting");
    made[0]!.listener.serves();
    expect([supervisor.state, supervisor.pid]).toEqual(["serving", 1]);
    supervisor.want("a");
    expect(made).toHaveLength(1);
    await supervisor.close();
    expect([supervisor.state, supervisor.pid, clock.timers]).toEqual(["idle", undefined, 0]);
    supervisor.want("b");
    expect(made).toHaveLength(1);
  });

  it("waits a second, then twice as long each time, a minute at most", async () => {
    const { made, supervisor, clock, die } = rig();
    supervisor.want("a");
    for (let time = 0; time < 9; time += 1) {
      die();
      expect(supervisor.state).toBe("waiting");
      await clock.advance(60_000);
    }
    const waits = made.slice(1).map(({ at }, index) => at - made[index]!.at);
    // Each was killed where the minute of the one before had ended.
    const shortest = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000);
    let died = 0;
    expect(made.slice(1).map(({ at }) => at - died++ * 60_000)).toEqual(shortest);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(1_000);
    await supervisor.close();
    expect(clock.timers).toBe(0);
  });

  it("lets a program that serves go on: it has started in time", async () => {
    const { made, log, supervisor, clock } = rig();
    supervisor.want("a");
    made[0]!.listener.serves();
    await clock.advance(3_600_000);
    expect([supervisor.state, made.length, made[0]!.told, log]).toEqual(["serving", 1, [], []]);
    expect(clock.timers).toBe(0);
    await supervisor.close();
  });

  it("has no process where that was gone by the time that it was started", async () => {
    const { supervisor, clock } = rig({ stillborn: true });
    supervisor.want("a");
    expect([supervisor.state, supervisor.pid]).toEqual(["waiting", undefined]);
    await supervisor.close();
    expect([supervisor.state, clock.timers]).toEqual(["idle", 0]);
  });

  it("says from the second end in a row how long it will be at most", async () => {
    const { log, supervisor, clock, die } = rig();
    supervisor.want("a");
    for (const status of [1, 2, 3]) {
      die(`ended with status ${status}.`);
      await clock.advance(4_000);
    }
    const most = ", and then every 60 s at the latest";
    expect(log.map(([, sentence]) => sentence)).toEqual([
      "the page ended with status 1; it is started again in 1 s",
      `the page ended with status 2; it is started again in 2 s${most}`,
      `the page ended with status 3; it is started again in 4 s${most}`,
    ]);
    await supervisor.close();
  });

  it("takes one doubling back for each three seconds of serving", async () => {
    const { made, supervisor, clock, die } = rig();
    supervisor.want("a");
    for (const [servedMs, waitMs] of [
      [0, 1_000],
      [500, 2_000],
      [2_999, 4_000],
      [3_000, 4_000],
      [6_000, 2_000],
      [60_000, 1_000],
      [3_000, 1_000],
      [3_000, 1_000],
    ] as const) {
      made.at(-1)!.listener.serves();
      await clock.advance(servedMs);
      die();
      const before = made.length;
      await clock.advance(waitMs - 1);
      expect(made).toHaveLength(before);
      await clock.advance(1);
      expect(made).toHaveLength(before + 1);
    }
  });

  it("tells a failure that lasts once an hour", async () => {
    const { log, supervisor, clock, made, die } = rig();
    supervisor.want("a");
    const warnings = (): number => log.filter(([level]) => level === "warn").length;
    const until = async (hours: number): Promise<number> => {
      while (clock.monotonic() < hours * 3_600_000) {
        if (made.at(-1)!.alive) die();
        await clock.advance(10_000);
      }
      return warnings();
    };
    const begun = warnings();
    expect([await until(0.9), await until(1.9), await until(2.9)].map((n) => n - begun)).toEqual([
      1, 2, 3,
    ]);
    await supervisor.close();
  });

  it("lets the next one start only when the process before is gone", async () => {
    const { made, supervisor, clock } = rig({ obeys: false });
    supervisor.want("a");
    supervisor.want("b");
    supervisor.want("c");
    expect([made.length, supervisor.state]).toEqual([1, "ending"]);
    await clock.advance(999);
    expect(made[0]!.told).toEqual(["end"]);
    await clock.advance(1);
    expect(made[0]!.told).toEqual(["end", "kill"]);
    expect(made.map(({ program }) => program)).toEqual(["a", "c"]);
    const closed = supervisor.close();
    await clock.advance(1_000);
    await closed;
    expect([supervisor.state, clock.timers]).toEqual(["idle", 0]);
  });

  it("closes only once the process is gone, and tells each that waits for it", async () => {
    const { made, supervisor, clock } = rig({ obeys: false });
    supervisor.want("a");
    made[0]!.listener.serves();
    let closed = 0;
    for (let times = 0; times < 2; times += 1) void supervisor.close().then(() => (closed += 1));
    await clock.settle();
    expect([closed, supervisor.state, made[0]!.told]).toEqual([0, "ending", ["end"]]);
    await clock.advance(1_000);
    expect([closed, supervisor.state, clock.timers]).toEqual([2, "idle", 0]);
  });

  it("waits a second again once there are other settings, which begin at once", async () => {
    const { made, supervisor, clock, die } = rig();
    supervisor.want("a");
    for (let times = 0; times < 5; times += 1) {
      die();
      await clock.advance(60_000);
    }
    die();
    const before = made.length;
    supervisor.want("b");
    expect(made.slice(before).map(({ program }) => program)).toEqual(["b"]);
    die();
    await clock.advance(999);
    expect(made).toHaveLength(before + 1);
    await clock.advance(1);
    expect(made).toHaveLength(before + 2);
    await supervisor.close();
  });

  it("ends one that does not serve within a minute", async () => {
    const { made, supervisor, clock, log } = rig();
    supervisor.want("a");
    await clock.advance(60_000);
    expect(made[0]!.told).toEqual(["kill"]);
    expect(log).toEqual([
      ["warn", "the page did not serve within 60 s: it ends"],
      ["warn", "the page was ended by SIGKILL; it is started again in 1 s"],
    ]);
    await clock.advance(1_000);
    expect(made).toHaveLength(2);
  });

  it("tells one reason once an hour, and a new one at once", async () => {
    const { made, supervisor, clock, log, die } = rig();
    const taken = "orchd: port 4114 of 127.0.0.1 is in use.";
    supervisor.want("a");
    const until = clock.monotonic() + 3_500_000;
    while (clock.monotonic() < until) {
      made.at(-1)!.listener.said(taken);
      die();
      await clock.advance(60_000);
    }
    expect(log.filter(([level]) => level === "warn")).toEqual([
      ["warn", `the page ended with status 1: ${taken.slice(0, -1)}; it is started again in 1 s`],
    ]);
    made.at(-1)!.listener.said("another reason");
    die();
    expect(log.at(-1)).toEqual([
      "warn",
      "the page ended with status 1: another reason; it is started again in 60 s, and then every " +
        "60 s at the latest",
    ]);
    await clock.advance(60_000);
    made.at(-1)!.listener.said(taken);
    die();
    expect(log.at(-1)![0]).toBe("warn");
  });

  it("tells the same reason again, once the settings changed", async () => {
    const { log, supervisor, clock, die } = rig();
    supervisor.want("a");
    die("ended with status 7");
    await clock.advance(1_000);
    die("ended with status 7");
    supervisor.want("b");
    die("ended with status 7");
    expect(log.map(([level]) => level)).toEqual(["warn", "debug", "warn"]);
  });

  it("tells the same reason again after an hour, or once it has served", async () => {
    const { made, log, supervisor, clock, die } = rig();
    supervisor.want("a");
    const ends = (serves = false): string[][] => {
      const { listener } = made.at(-1)!;
      for (const line of ["one", "two"]) listener.said(line);
      if (serves) listener.serves();
      die();
      return log.splice(0);
    };
    const warned = (...lines: string[]) =>
      lines.map((line) => ["warn", expect.stringContaining(line)]);
    // What it said before it ended stands once beside the reason.
    expect(ends()).toEqual(warned("one", "two", "status 1"));
    for (let minute = 1; minute < 60; minute += 1) {
      await clock.advance(60_000);
      expect(ends()).toEqual([["debug", expect.stringContaining("status 1")]]);
    }
    await clock.advance(60_000);
    expect(ends()).toEqual(warned("one", "two", "status 1"));
    await clock.advance(60_000);
    expect(ends(true)).toEqual(warned("one", "two", "status 1"));
    await clock.advance(60_000);
    expect(ends()).toEqual(warned("one", "two", "status 1"));
    await supervisor.close();
  });

  it("tells the same reason again of a program that served meanwhile", async () => {
    const { made, log, supervisor, clock, die } = rig();
    supervisor.want("a");
    for (const serves of [false, false, true, false]) {
      if (serves) made.at(-1)!.listener.serves();
      die();
      await clock.advance(10_000);
    }
    expect(log.map(([level]) => level)).toEqual(["warn", "debug", "warn", "debug"]);
    await supervisor.close();
  });

  it("takes nothing back for what an earlier process served", async () => {
    const { made, supervisor, clock, die } = rig();
    supervisor.want("a");
    made[0]!.listener.serves();
    await clock.advance(3_000);
    for (const waitMs of [1_000, 2_000, 4_000, 8_000]) {
      die();
      const before = made.length;
      await clock.advance(waitMs - 1);
      expect(made).toHaveLength(before);
      await clock.advance(1);
      expect(made).toHaveLength(before + 1);
    }
    await supervisor.close();
  });

  it("tells what a program prints, with its own level where it says one", () => {
    const { made, supervisor, log, die } = rig();
    supervisor.want("a");
    const [{ listener }] = made as [Made];
    listener.said("before");
    expect(log).toEqual([]);
    listener.serves();
    listener.said('{"level":"info","msg":"hello"}');
    listener.said('{"level":50,"msg":"number"}');
    listener.said('{"level":"info"}');
    listener.said("{no json");
    listener.said('{"level":"fatal","msg":"the end"}');
    expect(log.splice(0)).toEqual([
      ["warn", "before"],
      ["info", "hello"],
      ["warn", "number"],
      ["warn", '{"level":"info"}'],
      ["warn", "{no json"],
      ["error", "the end"],
    ]);
    die();
    expect(log).toEqual([["warn", "the page ended with status 1; it is started again in 1 s"]]);
  });

  it("goes on where no process can be made", async () => {
    const { supervisor, clock, log } = rig({ throws: true });
    supervisor.want("a");
    await clock.advance(10_000);
    expect(log[0]).toEqual([
      "warn",
      "the page could not be started: EAGAIN; it is started again in 1 s",
    ]);
    expect(log.slice(1).every(([level]) => level === "debug")).toBe(true);
    await supervisor.close();
    expect(clock.timers).toBe(0);
  });

  it("hears nothing from a process that is gone", async () => {
    const { made, supervisor, clock, die } = rig();
    supervisor.want("a");
    die();
    await clock.advance(1_000);
    made[0]!.listener.serves();
    made[0]!.listener.gone("again");
    expect(supervisor.state).toBe("starting");
    expect(made).toHaveLength(2);
  });

  it("never has two processes, nor a hot loop, whatever happens in whatever order", async () => {
    const act = fc.constantFrom("serve", "die", "want a", "want b", "want nothing", "wait", "long");
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 30 }), fc.boolean(), async (acts, obeys) => {
        const { made, supervisor, clock } = rig({ obeys });
        let changes = 0;
        for (const one of acts) {
          const last = made.at(-1);
          if (one === "serve" && last?.alive) last.listener.serves();
          if (one === "die" && last?.alive) {
            last.alive = false;
            last.listener.gone("ended with status 1");
          }
          if (one.startsWith("want")) {
            changes += 1;
            supervisor.want(one === "want nothing" ? undefined : one.slice(5));
          }
          await clock.advance(one === "long" ? 61_000 : one === "wait" ? 1_000 : 0);
          expect(made.filter(({ alive }) => alive).length).toBeLessThanOrEqual(1);
        }
        expect(made.length).toBeLessThanOrEqual(1 + changes + clock.monotonic() / 1_000);
        const closed = supervisor.close();
        await clock.advance(1_000);
        await closed;
        expect(made.some(({ alive }) => alive)).toBe(false);
        expect(clock.timers).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
