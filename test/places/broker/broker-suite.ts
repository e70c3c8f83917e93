/**
 * What each engine must do as a broker (src/places/broker/broker.ts), over a real server. The cases
 * run side by side: some of them wait until a server is missed.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, it } from "vitest";
import { BrokerSilence } from "../../../src/places/broker/broker.ts";
import type { Broker, BrokerOptions, BrokerState } from "../../../src/places/broker/broker.ts";
import type { BrokerServer } from "../../support/broker-server.ts";
import { Authority } from "../../support/certificates.ts";
import { expect, onTestFinished } from "../../support/running-test.ts";
import { tempRoot } from "../../support/temp-root.ts";

/** The paths of what TLS needs. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** An engine. */
export interface BrokerEngine {
  readonly name: string;
  readonly scheme: string;
  readonly secureScheme: string;
  /** Lines of a server on which the user `a` has the password `right`, and nobody else has one. */
  readonly users: string;
  /** What it says to a wrong password, and to none. */
  readonly refusal: RegExp;
  /** What it says of credentials that are none. */
  readonly noCredentials: RegExp;
  /** Lines of a server that speaks TLS alone, and wants to see a certificate. */
  tls(files: TlsFiles): string;
  /** Starts a server. @param more lines of its configuration */
  start(more?: string): Promise<BrokerServer>;
  open(options: BrokerOptions): Broker;
}

/** Opens an engine's servers and connections for one test. They are closed when it is over. */
export class BrokerRig {
  readonly #engine: BrokerEngine;

  constructor(engine: BrokerEngine) {
    this.#engine = engine;
  }

  async served(more?: string): Promise<BrokerServer> {
    const server = await this.#engine.start(more);
    onTestFinished(() => server.remove());
    return server;
  }

  connected(urls: readonly string[], more: Partial<BrokerOptions> = {}): Broker {
    const broker = this.#engine.open({ urls, bucket: "orchd-test", name: "test", ...more });
    onTestFinished(() => broker.close());
    return broker;
  }

  /** A server, and two connections that are up. */
  async pair(): Promise<{ server: BrokerServer; one: Broker; other: Broker }> {
    const server = await this.served();
    const [one, other] = [this.connected([server.url]), this.connected([server.url])];
    await Promise.all([until(one, true), until(other, true)]);
    return { server, one, other };
  }
}

/** The next state that is like this. */
export async function until(broker: Broker, up: boolean): Promise<BrokerState> {
  if (broker.state.up === up && !/not reached yet/.test(because(broker.state))) return broker.state;
  return new Promise((resolve) => {
    const off = broker.onState((state) => {
      if (state.up !== up) return;
      off();
      resolve(state);
    });
  });
}

export const because = (state: BrokerState): string => (state.up ? "" : state.because);
export const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = (content: Uint8Array): string => Buffer.from(content).toString();

/** A message may have been heard. */
const SILENCE = { name: "BrokerSilence", reachedNobody: false };
/** It was heard by nobody, for sure: what it asks for can go to another at once. */
const REACHED_NOBODY = { name: "BrokerSilence", reachedNobody: true };

/** One case. */
interface Case {
  readonly does: string;
  run(rig: BrokerRig, engine: BrokerEngine): Promise<void>;
}

const CASES: readonly Case[] = [
  {
    does: "carries messages, questions and answers, and says when nobody listens",
    async run(rig) {
      const { one, other } = await rig.pair();
      const heard: string[] = [];
      const off = other.listen("t.a", (message, subject, answer) => {
        heard.push(`${subject} ${textOf(message)}`);
        if (heard.length === 1) answer(bytes("at once"));
        else setImmediate(() => answer(bytes("later")));
      });
      await sleep(50);
      expect(textOf(await one.ask("t.a", bytes("1"), 2_000))).toBe("at once");
      expect(textOf(await one.ask("t.a", bytes("2"), 2_000))).toBe("later");
      one.send("t.a", bytes("3"));
      await expect(one.ask("t.none", bytes("4"), 2_000)).rejects.toMatchObject(REACHED_NOBODY);
      other.listen("t.quiet", () => undefined);
      await sleep(50);
      await expect(one.ask("t.quiet", bytes("5"), 100)).rejects.toMatchObject(SILENCE);
      expect(heard).toEqual(["t.a 1", "t.a 2", "t.a 3"]);
      off();
      expect(one.messageLimit).toBeGreaterThan(1_000_000);
    },
  },
  {
    does: "keeps objects, the first of a name, until they are removed",
    async run(rig) {
      const { one, other } = await rig.pair();
      const large = Buffer.alloc(5_000_000, "x");
      await one.put("a", large);
      await other.put("a", bytes("another"));
      expect(Buffer.from((await other.get("a"))!).equals(large)).toBe(true);
      expect(await other.get("b")).toBeUndefined();
      await one.remove(["a", "b"]);
      expect(await other.get("a")).toBeUndefined();
      await one.put("a", bytes("again"));
      expect(textOf((await other.get("a"))!)).toBe("again");
    },
  },
  {
    does: "is down while the server is, says so, and comes back with its listeners",
    async run(rig, { scheme }) {
      const { server, one, other } = await rig.pair();
      other.listen("t.a", (_message, _subject, answer) => answer(bytes("here")));
      // Longer than the test: the end of the connection is its answer.
      const asked = one.ask("t.silent", bytes("?"), 60_000).catch((error: unknown) => error);
      one.listen("t.silent", () => undefined);
      await server.kill();
      expect(because(await until(one, false))).toMatch(
        new RegExp(`^the broker at ${scheme}://127\\.0\\.0\\.1:\\d+ does not answer: `),
      );
      expect(await asked).toBeInstanceOf(BrokerSilence);
      one.send("t.a", bytes("lost"));
      const lost = one.ask("t.a", bytes("?"), 1_000);
      await expect(lost).rejects.toMatchObject({
        ...REACHED_NOBODY,
        message: expect.stringContaining("does not answer") as string,
      });
      await expect(one.put("a", bytes("?"))).rejects.toThrow(BrokerSilence);
      await server.begin();
      await Promise.all([until(one, true), until(other, true)]);
      // The engine may hear the question before it hears of the listener.
      const answer = (): Promise<string> => one.ask("t.a", bytes("?"), 2_000).then(textOf, String);
      await expect.poll(answer, { timeout: 20_000 }).toBe("here");
    },
  },
  {
    does: "notices a server that stands still",
    async run(rig) {
      const server = await rig.served();
      const one = rig.connected([server.url]);
      await until(one, true);
      server.freeze();
      await until(one, false);
      server.thaw();
      expect(await until(one, true)).toEqual({ up: true });
    },
  },
  {
    does: "waits for a server that is not there yet",
    async run(rig) {
      const server = await rig.served();
      await server.kill();
      const one = rig.connected([server.url]);
      expect(because(await until(one, false))).toContain("ECONNREFUSED");
      await server.begin();
      await until(one, true);
    },
  },
  {
    does: "tries each address",
    async run(rig, { scheme }) {
      const server = await rig.served();
      const nowhere = `${scheme}://127.0.0.1:1`;
      await until(rig.connected([nowhere, server.url]), true);
      expect(because(await until(rig.connected([nowhere]), false))).toMatch(
        new RegExp(`^the broker at ${scheme}://127\\.0\\.0\\.1:1 does not answer: .*ECONNREFUSED`),
      );
    },
  },
  {
    does: "says that credentials are refused, or are none",
    async run(rig, { users, refusal, noCredentials }) {
      const { url } = await rig.served(users);
      await until(rig.connected([url], { credentials: "a:right\n" }), true);
      for (const credentials of ["a:wrong", undefined]) {
        const state = await until(rig.connected([url], { credentials }), false);
        expect(because(state)).toMatch(refusal);
        expect(because(state)).not.toContain("wrong");
      }
      expect(because(await until(rig.connected([url], { credentials: "what" }), false))).toMatch(
        noCredentials,
      );
    },
  },
  {
    does: "speaks TLS, with an authority and a certificate of its own",
    async run(rig, engine) {
      const authority = new Authority();
      onTestFinished(() => authority.remove());
      const { root } = tempRoot();
      const file = (name: string, text: string): string => {
        writeFileSync(join(root, name), text);
        return join(root, name);
      };
      const [its, own] = [authority.sign(["IP:127.0.0.1"]), authority.sign(["DNS:orchd"])];
      const server = await rig.served(
        engine.tls({
          ca: authority.file,
          cert: file("s.pem", its.cert),
          key: file("s.key", its.key),
        }),
      );
      const urls = [server.url.replace(engine.scheme, engine.secureScheme)];
      const tls = {
        ca: authority.file,
        cert: file("c.pem", own.cert),
        key: file("c.key", own.key),
      };
      await until(rig.connected(urls, { tls }), true);
      const stranger = rig.connected(urls, { tls: { cert: tls.cert, key: tls.key } });
      expect(because(await until(stranger, false))).toMatch(/does not answer: .*certificate/i);
      const nobody = rig.connected(urls, { tls: { ca: authority.file } });
      expect(because(await until(nobody, false))).toMatch(/does not answer: /);
      const lost = rig.connected(urls, { tls: { ...tls, ca: join(root, "none.pem") } });
      expect(because(await until(lost, false))).toMatch(/none\.pem|does not exist|ENOENT/);
    },
  },
];

/** Holds an engine to all of it. */
export function describeBroker(engine: BrokerEngine): void {
  const rig = new BrokerRig(engine);
  describe.concurrent(`${engine.name} as a broker`, { timeout: 30_000 }, () => {
    it.each(CASES.map((each) => [each.does, each] as const))("%s", async (_does, { run }) => {
      expect.hasAssertions();
      await run(rig, engine);
    });
  });
}
