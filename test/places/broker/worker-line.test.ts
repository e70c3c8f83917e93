/** What a worker says to its daemon, over an engine in memory. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { BrokerSilence } from "../../../src/places/broker/broker.ts";
import {
  BROKER_PROTOCOL,
  type FromWorker,
  type Hello,
  type WorkerSays,
} from "../../../src/places/broker/messages.ts";
import { Seal } from "../../../src/places/broker/seal.ts";
import { namesOn, SealedBroker } from "../../../src/places/broker/sealed-broker.ts";
import { WorkerLine } from "../../../src/places/broker/worker-line.ts";
import { PlayedEngine } from "../../support/played-broker.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const secret = randomBytes(32).toString("base64");
const claim: FromWorker = { type: "claim", worker: "a", incarnation: "i", id: "p@1#3" };

function rig(faults: string[] = []) {
  const clock = new VirtualClock();
  const engine = new PlayedEngine(clock);
  const side = (key = secret): SealedBroker =>
    new SealedBroker(engine.connect(), new Seal(key), "orchd.farm.x", clock, (text) =>
      faults.push(text),
    );
  const daemon = side();
  const mine = side();
  const name = { worker: "a", incarnation: "i", home: "h", version: "1" };
  const line = new WorkerLine(mine, clock, name);
  const soon = async <T>(work: Promise<T>): Promise<T> => {
    const settled = work.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await clock.advance(5_000);
    const end = await settled;
    if ("error" in end) throw end.error;
    return end.value;
  };
  return { clock, engine, side, daemon, mine, line, soon };
}

describe("a worker's line", () => {
  it("says hello once, numbers what it says, and hears in its session alone", async () => {
    const { daemon, line, soon } = rig();
    const heard: object[] = [];
    daemon.listen("hello", (hello) => {
      heard.push(hello as Hello);
      return { type: "welcome", root: "r", session: "s1" };
    });
    daemon.listen("daemon.r", (says) => {
      heard.push(says as WorkerSays);
      return { type: "yes" };
    });
    line.hear(() => ({ type: "taken" }));
    const answers = await soon(Promise.all([line.ask(claim, 1_000), line.ask(claim, 1_000)]));
    expect(answers).toEqual([{ type: "yes" }, { type: "yes" }]);
    expect(heard).toEqual([
      {
        type: "hello",
        protocol: BROKER_PROTOCOL,
        version: "1",
        worker: "a",
        incarnation: "i",
        home: "h",
      },
      { worker: "a", session: "s1", number: 1, message: claim },
      { worker: "a", session: "s1", number: 2, message: claim },
    ]);
    const stop = { type: "stop", id: "x", mode: "force", because: "no" };
    const say = (session: string) =>
      soon(daemon.ask("worker.a", { session, message: stop }, 1_000));
    expect(await say("s1")).toEqual({ session: "s1", number: 2, answer: { type: "taken" } });
    expect(await say("s0")).toMatchObject({ answer: { type: "refused" } });
  });

  it("says hello again to a daemon that is new, and then the same again", async () => {
    const { daemon, line, soon } = rig();
    let sessions = 0;
    daemon.listen("hello", () => ({ type: "welcome", root: "r", session: `s${(sessions += 1)}` }));
    daemon.listen("daemon.r", (says) =>
      (says as WorkerSays).session === "s2" ? { type: "yes" } : { type: "again" },
    );
    expect(await soon(line.ask(claim, 1_000))).toEqual({ type: "yes" });
    expect(sessions).toBe(2);
  });

  it("makes what changes at the moment it is said, in each session anew", async () => {
    const { daemon, line, soon } = rig();
    const heard: FromWorker[] = [];
    let sessions = 0;
    daemon.listen("hello", () => ({ type: "welcome", root: "r", session: `s${(sessions += 1)}` }));
    daemon.listen("daemon.r", (says) => {
      heard.push((says as WorkerSays).message);
      return { type: sessions === 2 ? "yes" : "again" };
    });
    const lack = (): FromWorker => ({ type: "lack", worker: "a", hash: `${sessions}` });
    await soon(line.ask(lack, 1_000));
    expect(heard).toEqual([
      { type: "lack", worker: "a", hash: "1" },
      { type: "lack", worker: "a", hash: "2" },
    ]);
  });

  it("is told no by a daemon that refuses its hello", async () => {
    const { daemon, line, soon } = rig();
    daemon.listen("hello", () => ({ type: "no", because: "another protocol" }));
    expect(await soon(line.ask(claim, 1_000))).toEqual({
      type: "no",
      because: "another protocol",
    });
  });

  it("takes no answer that was for another question, and none that is not sealed", async () => {
    const faults: string[] = [];
    const { engine, daemon, mine, line, soon } = rig(faults);
    daemon.listen("hello", () => ({ type: "welcome", root: "r", session: "s1" }));
    const stranger = engine.connect();
    let kept: Uint8Array | undefined;
    // The engine answers each question with its first answer.
    const off = daemon.listen("daemon.r", () => ({ type: "yes" }));
    await soon(line.ask(claim, 1_000));
    kept = engine.seen.at(-1);
    off();
    stranger.listen("orchd.farm.x.daemon.r", (_message, _subject, answer) => answer(kept!));
    await expect(soon(line.ask(claim, 1_000))).rejects.toThrow(BrokerSilence);
    kept = Buffer.from('{"type":"yes"}');
    await expect(soon(line.ask(claim, 1_000))).rejects.toThrow(BrokerSilence);
    expect(faults).toEqual([
      "a message at orchd.farm.x.daemon.r is sealed with another key, was for something " +
        "else, or was changed",
      "a message at orchd.farm.x.daemon.r is not sealed as orchd seals",
    ]);
    expect(mine.fits(100)).toBe(true);
    expect(mine.fits(2_000_000)).toBe(false);
  });

  it("gets files that the daemon puts when asked, and the engine learns no name", async () => {
    const { engine, daemon, line, soon } = rig();
    daemon.listen("hello", () => ({ type: "welcome", root: "r", session: "s1" }));
    daemon.listen("daemon.r", async (says) => {
      const { message } = says as WorkerSays;
      if (message.type !== "lack" || message.hash !== "abc") return { type: "no", because: "?" };
      await daemon.put("file abc", Buffer.from("the file"));
      return { type: "yes" };
    });
    expect(Buffer.from((await soon(line.getFile("abc")))!).toString()).toBe("the file");
    expect(await soon(line.getFile("other"))).toBeUndefined();
    await soon(line.putFile("def", Buffer.from("a result")));
    expect((await soon(daemon.get("file def")))?.toString()).toBe("a result");
    const [[name, content]] = [...engine.objects] as [[string, Uint8Array]];
    expect(name).toMatch(/^[0-9a-f]{32}$/);
    expect(Buffer.from(content).includes("the file")).toBe(false);
    await soon(daemon.remove(["file abc", "file def", "none"]));
    expect(engine.objects.size).toBe(0);
  });

  it("is apart from places with another name or key", () => {
    const [one, other] = [new Seal(secret), new Seal(randomBytes(32).toString("hex"))];
    const names = [namesOn(one, "farm"), namesOn(one, "a farm.*"), namesOn(other, "farm")];
    for (const { prefix, bucket } of names) {
      expect(prefix).toMatch(/^orchd\.[A-Za-z0-9_-]+\.[0-9a-f]{16}$/);
      expect(bucket).toMatch(/^orchd-[A-Za-z0-9_-]+$/);
    }
    expect(new Set(names.map(({ prefix }) => prefix)).size).toBe(3);
  });
});

describe("a worker's session", () => {
  /** A daemon that answers each hello with a new session, and messages as a test says. */
  function served(answer: (says: WorkerSays) => object | Promise<object> | undefined) {
    const all = rig();
    const hellos: (string | undefined)[] = [];
    const said: string[] = [];
    let sessions = 0;
    all.daemon.listen("hello", (hello) => {
      hellos.push((hello as Hello).root);
      return { type: "welcome", root: "r", session: `s${(sessions += 1)}` };
    });
    all.daemon.listen("daemon.r", (says) => {
      const { session, number, message } = says as WorkerSays;
      said.push(`${session} ${number} ${"id" in message ? message.id : message.type}`);
      return answer(says as WorkerSays);
    });
    return { ...all, hellos, said };
  }
  const yes = { type: "yes" };

  it("is kept for a minute after the last answer; then any daemon may answer", async () => {
    const { line, hellos, said, soon, clock } = served(() => yes);
    await soon(line.ask(claim, 1_000));
    for (let times = 0; times < 3; times += 1) {
      await clock.advance(50_000);
      await soon(line.ask(claim, 1_000));
    }
    expect([hellos, said.length]).toEqual([[undefined], 4]);
    // It was heard 2 ms after it was asked, and 5 s have passed in which the test waited.
    await clock.advance(55_002);
    await soon(line.ask(claim, 1_000));
    expect(hellos).toHaveLength(1);
    await clock.advance(55_003);
    await soon(line.ask(claim, 1_000));
    expect(hellos).toEqual([undefined, undefined]);
    expect(said.at(-1)).toBe("s2 1 p@1#3");
  });

  it("that its daemon does not know is asked of the same daemon, three times", async () => {
    const { line, hellos, said, soon } = served(() => ({ type: "again" }));
    await expect(soon(line.ask(claim, 1_000))).rejects.toThrow(
      "the daemon does not know this worker, however often it says hello",
    );
    expect(hellos).toEqual([undefined, "r", "r"]);
    expect(said).toEqual(["s1 1 p@1#3", "s2 1 p@1#3", "s3 1 p@1#3"]);
  });

  it("that is over has no answers: what was asked in it is asked again", async () => {
    const waiting: ((answer: object) => void)[] = [];
    const { line, said, clock } = served(({ session, message }) => {
      if (session !== "s1") return yes;
      if (message.type === "bye") return { type: "again" };
      return new Promise((answered) => waiting.push(answered));
    });
    const asked = line.ask(claim, 60_000);
    await clock.advance(10);
    const other = line.ask({ type: "bye", worker: "a", incarnation: "i" }, 60_000);
    await clock.advance(10);
    // The first answer comes once the session is over.
    waiting[0]!({ type: "no", because: "it was another's" });
    await clock.advance(10);
    expect([await asked, await other]).toEqual([yes, yes]);
    expect(said).toEqual(["s1 1 p@1#3", "s1 2 bye", "s2 1 bye", "s2 2 p@1#3"]);
  });
});
