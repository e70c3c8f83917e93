/** What the name of an image means, when it is pulled, and how long an answer counts. */
import { describe, expect, it, vi } from "vitest";
import type { ImageContainer } from "../../../src/core/container.ts";
import type { ContainerFiles } from "../../../src/places/container/container-files.ts";
import type { Engine } from "../../../src/places/container/engine.ts";
import {
  heardBy,
  imageIdOf,
  KnownImages,
  otherPlatform,
  presentImage,
} from "../../../src/places/container/image.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const ID = "a".repeat(64);
const pulls: { cancelled: number }[] = [];
/** What a pull does. */
let onPull = (): void => undefined;
vi.mock("../../../src/places/container/image-pull.ts", () => ({
  pull: () => {
    const one = {
      cancelled: 0,
      done: Promise.resolve(onPull()),
      cancel: () => (one.cancelled += 1),
    };
    pulls.push(one);
    return one;
  },
}));

interface Said {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
const there = (platform = "linux/amd64", id = ID): Said => ({
  status: 0,
  stdout: `sha256:${id} ${platform}\n`,
  stderr: "",
});
const MISSING: Said = { status: 1, stdout: "", stderr: "Error: no such image" };

/** An engine that answers so, the last answer again and again. */
function engineOf(...answers: Said[]) {
  const asked: string[] = [];
  const engine = {
    name: "docker",
    ask: (words: readonly string[]) => {
      asked.push(words.join(" "));
      return Promise.resolve(answers.length > 1 ? answers.shift()! : answers[0]!);
    },
  } as unknown as Engine;
  return { engine, asked };
}
const container = (more: Partial<ImageContainer> = {}): ImageContainer =>
  ({ image: "i:1", pull: "missing", ...more }) as ImageContainer;
const request = () => ({
  clock: new VirtualClock(),
  files: () => ({}) as ContainerFiles,
  auth: undefined,
  tell: () => undefined,
});
const fault = (given: Promise<unknown>): Promise<string> =>
  given.then(String, (error: Error) => error.message);

describe("an image", () => {
  it.each<[string | undefined, string, boolean]>([
    [undefined, "linux/arm64", true],
    ["linux/amd64", "linux/amd64", true],
    ["Linux/AMD64", "linux/amd64", true],
    ["linux/x86_64", "linux/amd64", true],
    ["linux/aarch64", "linux/arm64", true],
    ["linux/arm64/v8", "linux/arm64", true],
    ["linux/arm64", "linux/amd64", false],
    ["windows/amd64", "linux/amd64", false],
    ["linux", "linux/amd64", true],
  ])("for %s does, where it is of %s: %s", async (platform, own, does) => {
    const { engine, asked } = engineOf(there(own));
    expect(await imageIdOf(engine, { image: "i:1", platform })).toBe(does ? ID : undefined);
    expect(asked).toEqual(["image inspect --format {{.Id}} {{.Os}}/{{.Architecture}} i:1"]);
    expect(await otherPlatform(engine, { image: "i:1", platform })).toBe(
      does ? undefined : `the image i:1 is for ${own} alone, and container.platform is ${platform}`,
    );
  });

  it("is missing where the engine says so, and not where it does not answer", async () => {
    expect(await imageIdOf(engineOf(MISSING).engine, container())).toBeUndefined();
    expect(
      await imageIdOf(engineOf(there("linux/amd64", "b")).engine, container()),
    ).toBeUndefined();
    for (const stderr of ["Cannot connect to the Docker daemon", "connect: x", "dial unix /x"])
      expect(await fault(imageIdOf(engineOf({ ...MISSING, stderr }).engine, container()))).toMatch(
        /^docker does not answer: /,
      );
    const ended = { status: null, stdout: "", stderr: "" };
    expect(await fault(imageIdOf(engineOf(ended).engine, container()))).toMatch(/does not answer/);
  });

  it.each<[ImageContainer["pull"], Said[], number, string]>([
    ["missing", [there()], 0, ID],
    ["missing", [MISSING, there()], 1, ID],
    ["always", [there()], 1, ID],
    ["missing", [MISSING], 1, "the image i:1 was pulled, and is not there"],
  ])("with pull %s and the answers %j is pulled %i times: %s", async (pull, answers, times, id) => {
    pulls.length = 0;
    const { engine } = engineOf(...answers);
    expect(await fault(presentImage(engine, container({ pull }), request()))).toBe(id);
    expect(pulls).toHaveLength(times);
  });

  it("that must not be pulled is not, and it is said why it does not do", async () => {
    pulls.length = 0;
    const never = container({ pull: "never" });
    expect(await fault(presentImage(engineOf(MISSING).engine, never, request()))).toContain("i:1");
    const other = { ...never, platform: "linux/arm64" };
    expect(await fault(presentImage(engineOf(there()).engine, other, request()))).toBe(
      "the image i:1 is for linux/amd64 alone, and container.platform is linux/arm64",
    );
    const pulled = container({ platform: "linux/arm64" });
    expect(await fault(presentImage(engineOf(there()).engine, pulled, request()))).toContain(
      "is for linux/amd64 alone",
    );
    expect(pulls).toHaveLength(1);
  });

  it("whose pull nobody waits for any more is not pulled to its end", () => {
    const work = { cancelled: 0, cancel: () => (work.cancelled += 1) };
    const abort = new AbortController();
    const told: string[] = [];
    const tell = (lines: readonly string[]): void => void told.push(...lines);
    const heard = heardBy({ tell, signal: abort.signal });
    heard.tell(["a", "b"]);
    heard.pulling!(work as never);
    expect([told, work.cancelled]).toEqual([["a", "b"], 0]);
    abort.abort();
    expect(work.cancelled).toBe(1);
    heard.pulling!(work as never);
    expect(work.cancelled).toBe(2);
    heardBy().tell(["nobody hears"]);
  });
});

describe("an image that was there a moment ago", () => {
  it("is not asked for again within 5 s, unless it is always pulled", async () => {
    const clock = new VirtualClock();
    const known = new KnownImages(clock);
    const { engine, asked } = engineOf(there());
    const ask = (more: Partial<ImageContainer> = {}): Promise<string> =>
      known.idOf(engine, container(more), { ...request(), clock });
    expect(await ask()).toBe(ID);
    await clock.advance(4_999);
    expect(await ask()).toBe(ID);
    expect(asked).toHaveLength(1);
    await ask({ platform: "linux/amd64" });
    await ask({ image: "i:2" });
    expect(asked).toHaveLength(3);
    await ask({ pull: "always" });
    expect(asked).toHaveLength(4);
    await clock.advance(5_000);
    await ask();
    expect(asked).toHaveLength(5);
    onPull = () => undefined;
  });
});
