/** What passes a broker is sealed: nobody reads it, changes it, or puts it somewhere else. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { nameOfSealed, Seal, SEAL_BYTES, Unsealed } from "../../../src/places/broker/seal.ts";

const secret = randomBytes(32).toString("base64");
const text = Buffer.from("the text of a task");

describe("a seal", () => {
  it("is opened with the same secret, for the same thing, by another process", () => {
    const [one, other] = [new Seal(secret), new Seal(`\n${secret} \n`)];
    const sealed = one.seal(text, "worker.a");
    expect(sealed.length).toBe(text.length + SEAL_BYTES);
    expect(sealed.includes(text)).toBe(false);
    expect(other.open(sealed, "worker.a").equals(text)).toBe(true);
    expect(one.open(sealed, "worker.a").equals(text)).toBe(true);
  });

  it("opens nothing that was for something else, or is sealed with another key", () => {
    const one = new Seal(secret);
    const sealed = one.seal(text, "worker.a");
    expect(() => one.open(sealed, "worker.b")).toThrow(Unsealed);
    expect(() => new Seal(randomBytes(32).toString("hex")).open(sealed, "worker.a")).toThrow(
      "is sealed with another key, was for something else, or was changed",
    );
  });

  it("opens nothing that was changed in any byte, or cut", () => {
    const one = new Seal(secret);
    const sealed = one.seal(text, "x");
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = Buffer.from(sealed);
      changed[at]! ^= 1;
      expect(() => one.open(changed, "x")).toThrow(Unsealed);
      expect(() => one.open(sealed.subarray(0, at), "x")).toThrow(Unsealed);
    }
    expect(() => one.open(Buffer.from('{"type":"claim"}'.padEnd(90)), "x")).toThrow(
      "is not sealed as orchd seals",
    );
  });

  it("never seals two messages alike, and each has a name of its own", () => {
    const seals = [new Seal(secret), new Seal(secret)];
    const sealed = seals.flatMap((one) => [1, 2, 3].map(() => one.seal(text, "x")));
    expect(new Set(sealed.map((one) => one.toString("hex"))).size).toBe(6);
    expect(new Set(sealed.map(nameOfSealed)).size).toBe(6);
  });

  it("takes 32 bytes and more, as hex or base64, and says what is wrong with others", () => {
    const hex = randomBytes(32).toString("hex");
    const same = new Seal(Buffer.from(hex, "hex").toString("base64"));
    for (const written of [hex, hex.toUpperCase()])
      expect(same.open(new Seal(written).seal(text, "x"), "x").equals(text)).toBe(true);
    expect(() => new Seal(randomBytes(31).toString("base64"))).toThrow(
      "the key has 31 bytes, and at least 32 are needed: make one with `openssl rand -base64 32`",
    );
    expect(() => new Seal("")).toThrow("the key is neither base64 nor hex");
    expect(() => new Seal("correct horse battery staple, and so on and on")).toThrow(
      "the key is neither base64 nor hex",
    );
  });

  it("opens what over four thousand others seal, and the first of them again", () => {
    const one = new Seal(secret);
    const others = Array.from({ length: 4_100 }, () => new Seal(secret));
    const opens = (other: Seal): boolean => one.open(other.seal(text, "x"), "x").equals(text);
    expect(others.filter((other) => !opens(other))).toEqual([]);
    expect(others.slice(0, 10).filter((other) => !opens(other))).toEqual([]);
  });

  it("makes names that tell nothing, and differ by key and kind", () => {
    const one = new Seal(secret);
    expect(one.nameOf("object", "a")).toMatch(/^[0-9a-f]{32}$/);
    expect(one.nameOf("object", "a")).toBe(new Seal(secret).nameOf("object", "a"));
    const names = [one.nameOf("object", "a"), one.nameOf("place", "a")];
    names.push(new Seal(randomBytes(32).toString("hex")).nameOf("object", "a"));
    expect(new Set(names).size).toBe(3);
  });
});
