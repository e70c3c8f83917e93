/** An engine that does not answer is asked again, for a minute and no longer. */
import { describe, expect, it } from "vitest";
import {
  AWAY_MS,
  EngineLost,
  isCut,
  stateOnceBack,
} from "../../../src/places/container/engine-away.ts";
import { isKept, runnersAmong } from "../../../src/places/container/containers-left.ts";
import type { ContainerState, Engine } from "../../../src/places/container/engine.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const AGAIN_MS = 500;
const STATE = { name: "c", running: true } as ContainerState;

/** An engine that is away until a moment. */
function away(untilMs: number, wanted = (): boolean => true, states = [STATE]) {
  const clock = new VirtualClock();
  const from = clock.monotonic();
  const asked: number[] = [];
  const inspect = (names: readonly string[]): Promise<ContainerState[]> => {
    expect(names).toEqual(["c"]);
    const at = clock.monotonic() - from;
    asked.push(at);
    return at < untilMs ? Promise.reject(new Error(`away at ${at}`)) : Promise.resolve(states);
  };
  const ended: { value?: unknown } = {};
  const answer = stateOnceBack({ inspect } as unknown as Engine, "c", clock, wanted).then(
    (value) => void (ended.value = value),
    (error: unknown) => void (ended.value = error),
  );
  return { clock, asked, ended, answer };
}

describe("an engine", () => {
  it("that answers was not away, whether it has the container or not", async () => {
    for (const states of [[STATE], []]) {
      const { answer, ended, asked } = away(0, () => false, states);
      await answer;
      expect([ended.value, asked]).toEqual([{ state: states[0], wasAway: false }, [0]]);
    }
  });

  it("is asked twice a second, until it is back", async () => {
    const { clock, answer, ended, asked } = away(3 * AGAIN_MS);
    await clock.advance(3 * AGAIN_MS - 1);
    expect([asked, ended.value]).toEqual([[0, AGAIN_MS, 2 * AGAIN_MS], undefined]);
    await clock.advance(1);
    await answer;
    expect(ended.value).toEqual({ state: STATE, wasAway: true });
  });

  it("is lost after a minute, with what it said last", async () => {
    const { clock, answer, ended, asked } = away(Number.POSITIVE_INFINITY);
    await clock.advance(AWAY_MS);
    expect(ended.value).toBeUndefined();
    await clock.advance(AGAIN_MS);
    await answer;
    expect(ended.value).toBeInstanceOf(EngineLost);
    expect((ended.value as Error).message).toBe(`away at ${AWAY_MS + AGAIN_MS}`);
    expect([asked.at(-1), clock.timers]).toEqual([AWAY_MS + AGAIN_MS, 0]);
  });

  it("is asked no more where nobody waits for it", async () => {
    let isWanted = true;
    const { clock, answer, ended, asked } = away(Number.POSITIVE_INFINITY, () => isWanted);
    await clock.advance(AGAIN_MS - 1);
    isWanted = false;
    await clock.advance(1);
    await answer;
    expect([ended.value, asked]).toEqual([expect.any(EngineLost), [0, AGAIN_MS]]);
  });
});

it.each<[string, boolean]>([
  ["Error: unexpected EOF", true],
  ["read unix @->/run/docker.sock: read: connection reset by peer", true],
  ["error during connect: this error may indicate that the docker daemon is not running", true],
  ['level=error msg="error waiting for container: "', true],
  ['Post "http://d/v1.41/containers/x/wait": EOF', true],
  ["docker: Error response from daemon: no such image", false],
  ["the step says: EOFX", false],
  ["", false],
])("that %j tells that the engine died: %s", (said, is) => {
  expect(isCut(said)).toBe(is);
});

describe("a container that was left", () => {
  const left = (more: Partial<ContainerState>): ContainerState => ({
    name: "c",
    labels: { "orchd.keep": "on-failure" },
    running: false,
    paused: false,
    startedAt: "2026-11-23T02:00:00.000Z",
    exitCode: 1,
    outOfMemory: false,
    ...more,
  });

  it.each<[string, boolean, Partial<ContainerState>]>([
    ["failed and its step keeps it", true, {}],
    ["failed and no step keeps it", false, { labels: {} }],
    ["is kept never", false, { labels: { "orchd.keep": "never" } }],
    ["ended well", false, { exitCode: 0 }],
    ["runs", false, { running: true }],
    ["never started", false, { startedAt: undefined }],
    ["was a runner's", false, { labels: { "orchd.runner": "t", "orchd.keep": "on-failure" } }],
    ["was a runner's and got its name", true, { name: "c-kept", labels: { "orchd.runner": "t" } }],
  ])("and %s stays: %s", (_, stays, more) => {
    expect(isKept(left(more))).toBe(stays);
  });

  it("was a runner's by its label, and goes unless it stays", () => {
    const all = [
      left({ name: "step" }),
      left({ name: "runner", labels: { "orchd.runner": "t" } }),
      left({ name: "runner-kept", labels: { "orchd.runner": "t" } }),
    ].map((state) => [state.name, { state }] as const);
    const found = runnersAmong(new Map(all) as never);
    expect(found.map(({ state }) => state.name)).toEqual(["runner"]);
  });
});
