/**
 * Promise: a step on another machine never runs twice at once, and none is lost. Machines end
 * tasks, are lost, fall silent and come back, orchd.yaml drops and names them, and daemons die and
 * take over, in an order that chance gives.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { expect, it, vi } from "vitest";
import type { RunLoop } from "../../src/run/run-loop.ts";
import { stepSpec } from "../support/given-run.ts";
import { PlacedDaemon } from "../support/placed-daemon.ts";
import { PlayedMachine, PlayedPlace, PlayedPlaces } from "../support/played-place.ts";
import { moduleStep } from "../support/run-bench.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const ACTS = [
  "end",
  "end",
  "end",
  "lose",
  "silent",
  "back",
  "drop",
  "name",
  "die",
  "wait",
] as const;
type Act = readonly [act: (typeof ACTS)[number], which: number];

const NAMES = ["one", "two"];
/** Which labels each has beside its name. */
const LABELS: Readonly<Record<string, readonly string[]>> = { one: ["gpu"], two: ["gpu", "linux"] };

class World {
  readonly clock = new VirtualClock();
  readonly machines = new Map(NAMES.map((name) => [name, new PlayedMachine()]));
  places = this.#open(true);
  daemon = new PlacedDaemon(this.clock, this.places);
  loop!: RunLoop;

  async begin(): Promise<void> {
    const more = {
      onInterruption: "retry" as const,
      retry: { maxRetries: 500, delayMs: 0, backoff: 1, jitter: 0 },
    };
    this.loop = await this.daemon.begin([
      stepSpec("a", { ...more, on: ["gpu"] }),
      stepSpec("b", { ...more, on: ["gpu", "linux"] }),
      stepSpec("c", { ...more, on: ["two"], needs: ["a"] }),
      moduleStep("here", more),
      stepSpec("d", { ...more, on: ["gpu"], needs: ["b", "c", "here"] }),
    ]);
  }

  #open(answers: boolean): PlayedPlaces {
    return new PlayedPlaces(...NAMES.map((name) => this.#make(name, answers)));
  }

  #make(name: string, answers: boolean): PlayedPlace {
    const machine = this.machines.get(name)!;
    const place = new PlayedPlace(name, { labels: LABELS[name]!, threads: 1, machine });
    place.answers = answers;
    return place;
  }

  async act([act, which]: Act): Promise<void> {
    if (this.loop.state.finished !== undefined) return;
    const name = NAMES[which % NAMES.length]!;
    const place = this.places.all.find((one) => one.name === name);
    switch (act) {
      case "end":
        for (const id of [...this.machines.get(name)!.running.keys()].slice(0, 1)) {
          if (place?.has(id) === true) place.end(id);
        }
        break;
      case "lose":
        place?.lose();
        break;
      case "silent":
        if (place !== undefined) place.because = "it does not answer";
        break;
      case "back":
        if (place !== undefined) place.because = undefined;
        place?.answer();
        place?.tell();
        break;
      case "drop":
        // As far-places.ts does: a place with a task stays until that has ended.
        if (place?.tasks === 0) this.places.remove(name);
        break;
      case "name":
        if (place === undefined) this.places.add(this.#make(name, true));
        break;
      case "die":
        await this.#die(which % 3 > 0);
        break;
      case "wait":
        await this.clock.advance(1_000);
    }
    await this.#steady();
  }

  /** What was decided has begun: files take their time, and the clock does not wait for them. */
  async #steady(): Promise<void> {
    const { running, steps } = this.loop.state;
    const isOnItsWay = (id: string): boolean => {
      const { spec, attempts } = steps.get(id)!;
      return spec.on !== undefined && attempts.at(-1)?.placed === undefined;
    };
    for (let turn = 0; turn < 40; turn += 1) {
      await this.clock.settle();
      if (![...running].some(isOnItsWay)) return;
      await nextTurn();
    }
  }

  async #die(answers: boolean): Promise<void> {
    const drained = this.loop.drain(0);
    let over = false;
    void drained.then(() => (over = true));
    await vi.waitFor(async () => {
      await this.clock.advance(20_000);
      expect(over).toBe(true);
    }, 10_000);
    if (this.loop.state.finished !== undefined) return;
    this.places = this.#open(answers);
    this.daemon = new PlacedDaemon(this.clock, this.places, this.daemon.bench.store.runsDir);
    this.loop = await this.daemon.recover(this.loop.state.run);
  }

  /** All is well from now on. */
  async calm(): Promise<void> {
    await vi.waitFor(async () => {
      for (const name of NAMES) {
        await this.act(["name", NAMES.indexOf(name)]);
        await this.act(["back", NAMES.indexOf(name)]);
        await this.act(["end", NAMES.indexOf(name)]);
      }
      this.places.endLeases?.();
      await this.clock.advance(1_000);
      expect(this.loop.state.finished).toBeDefined();
    }, 20_000);
  }
}

it("whatever comes, none runs twice at once and all complete", { timeout: 120_000 }, async () => {
  const act = fc.tuple(fc.constantFrom(...ACTS), fc.nat(5));
  let began = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 25 }), async (acts) => {
      const world = new World();
      await world.begin();
      await world.act(["back", 0]);
      for (const one of acts) await world.act(one);
      await world.calm();
      const { state } = world.loop;
      expect(state.finished?.status).toBe("completed");
      for (const machine of world.machines.values()) {
        expect(machine.doubled).toEqual(new Set());
        expect(machine.running.size).toBe(0);
        expect(machine.most).toBeLessThanOrEqual(1);
        began += machine.began.length;
      }
      expect(new Set([...world.machines.values()].flatMap((one) => one.began))).toEqual(
        new Set(["a", "b", "c", "d"]),
      );
    }),
    { numRuns: 40 },
  );
  expect(began).toBeGreaterThan(160);
});
