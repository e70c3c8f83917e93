/**
 * Two looks at an object that all steps share: the thorough one and the quick one. Whatever a step
 * can do to an object, both have to see it, and neither may see what was not done.
 */
import { describe, expect, it } from "vitest";
import { QuickLook } from "../../src/steps/quick-look.ts";
import { TakenObject } from "../../src/steps/taken-object.ts";

class Shared {
  own = 1;
  readonly list = [1];
  get got(): number {
    return 1;
  }
}
const SYMBOL = Symbol("own");

const setNothing = (): void => {};
const setOther = (): void => {};

/** An object of each sort of member. */
function made(): Record<PropertyKey, unknown> {
  const object = Object.create({ inherited: 1, value: 2 }) as Record<PropertyKey, unknown>;
  object["plain"] = 1;
  object["value"] = 3;
  object["nothing"] = undefined;
  object[SYMBOL] = 1;
  Object.defineProperty(object, "hidden", { value: 1, writable: true, configurable: true });
  Object.defineProperty(object, "fixed", { value: 1, writable: true, enumerable: true });
  Object.defineProperty(object, "accessed", {
    get: () => 1,
    set: setNothing,
    configurable: true,
  });
  return object;
}

type Change = (object: Record<PropertyKey, unknown>) => void;

/** What both looks say after a change: the thorough one's member, and whether the quick one saw. */
function seen(object: object, change: Change): [string | undefined, boolean] {
  const taken = new TakenObject(object);
  const quick = new QuickLook();
  quick.add(taken);
  expect([taken.change(), quick.isTouched]).toEqual([undefined, false]);
  change(object as Record<PropertyKey, unknown>);
  return [taken.change(), quick.isTouched];
}

describe("a change that an assignment or a deletion can make", () => {
  it.each<[string, Change, string]>([
    ["another value", (it) => (it["plain"] = 2), "plain"],
    ["another value over an inherited one", (it) => (it["value"] = 4), "value"],
    ["another value of a hidden member", (it) => (it["hidden"] = 2), "hidden"],
    ["another value of a fixed member", (it) => (it["fixed"] = 2), "fixed"],
    ["another value under a symbol", (it) => (it[SYMBOL] = 2), "Symbol(own)"],
    ["a value for nothing", (it) => (it["nothing"] = 1), "nothing"],
    ["a member less", (it) => delete it["plain"], "value"],
    ["a member less that had no value", (it) => delete it["nothing"], "hidden"],
    ["a member less whose value is inherited", (it) => delete it["value"], "nothing"],
    ["a symbol less", (it) => delete it[SYMBOL], "Symbol(own)"],
    ["an accessor less", (it) => delete it["accessed"], "Symbol(own)"],
    ["a member more", (it) => (it["more"] = 1), "more"],
    ["a symbol more", (it) => (it[Symbol("more")] = 1), "Symbol(more)"],
    ["another order", (it) => (delete it["plain"], (it["plain"] = 1)), "value"],
    ["another prototype", (it) => Object.setPrototypeOf(it, {}), "a prototype"],
    ["no room for more", (it) => Object.preventExtensions(it), "what can be added"],
    ["all frozen", (it) => Object.freeze(it), "what can be added"],
  ])("%s", (_, change, member) => {
    expect(seen(made(), change)).toEqual([member, true]);
  });
});

describe("a change of attributes", () => {
  const attribute =
    (name: string, descriptor: PropertyDescriptor): Change =>
    (it) =>
      void Object.defineProperty(it, name, descriptor);
  it.each<[string, Change]>([
    ["plain", attribute("plain", { writable: false })],
    ["plain", attribute("plain", { enumerable: false })],
    ["plain", attribute("plain", { configurable: false })],
    ["hidden", attribute("hidden", { enumerable: true })],
    ["accessed", attribute("accessed", { get: () => 2 })],
    ["accessed", attribute("accessed", { set: setOther })],
    ["accessed", attribute("accessed", { get: () => 1 })],
  ])("of %s is seen by the thorough look", (member, change) => {
    expect(seen(made(), change)[0]).toBe(member);
  });

  it("that an assignment undoes is seen by the quick look too", () => {
    const object = made();
    Object.defineProperty(object, "odd", {
      value: 1,
      writable: false,
      enumerable: true,
      configurable: true,
    });
    const change: Change = (it) => {
      delete it["odd"];
      it["odd"] = 1;
    };
    expect(seen(object, change)).toEqual(["odd", true]);
  });

  it("a getter that is another function is seen by both", () => {
    const swap: Change = (it) => void Object.defineProperty(it, "accessed", { get: () => 2 });
    expect(seen(made(), swap)).toEqual(["accessed", true]);
  });
});

it("an accessor less is seen where its prototype has the same", () => {
  const get = (): number => 1;
  const accessor = { get, configurable: true };
  const object = Object.create(Object.defineProperty({}, "got", accessor)) as object;
  Object.defineProperty(object, "got", accessor);
  expect(seen(object, (it) => delete it["got"])).toEqual(["got", true]);
});

it("a setter without a getter is seen to be another one", () => {
  const object = Object.defineProperty({}, "put", { set: setNothing, configurable: true });
  const swap: Change = (it) => void Object.defineProperty(it, "put", { set: setOther });
  expect(seen(object, swap)).toEqual(["put", true]);
});

it("a symbol that Intl hides in what one of its constructors is called on is seen", () => {
  const { NumberFormat } = Intl;
  const object = Object.create(NumberFormat.prototype) as object;
  const [member, isSeen] = seen(object, () => void NumberFormat.call(object));
  expect(member).toMatch(/^NumberFormat|Symbol/);
  expect(isSeen).toBe(true);
});

it("nothing is seen where all is as it was again", () => {
  for (const change of [
    (it) => ((it["plain"] = 2), (it["plain"] = 1)),
    (it) => ((it["more"] = 2), delete it["more"]),
    () => undefined,
  ] satisfies Change[])
    expect(seen(made(), change)).toEqual([undefined, false]);
});

it("what a Map or a Set holds is counted", () => {
  const map = new Map([[1, 1]]);
  expect(seen(map, () => map.set(2, 2))).toEqual(["what it holds", true]);
  expect(seen(new Map([[1, 1]]), () => undefined)).toEqual([undefined, false]);
  const set = new Set([1]);
  expect(seen(set, () => set.clear())).toEqual(["what it holds", true]);
});

it("a member is named with whose it is", () => {
  const cases: [object, Change, string][] = [
    [Shared, (it) => (it["more"] = 1), "Shared (more)"],
    [Shared.prototype, (it) => (it["more"] = 1), "Shared (more)"],
    [{ constructor: { name: "" } }, (it) => (it["more"] = 1), "more"],
    [{}, (it) => (it["more"] = 1), "more"],
  ];
  for (const [object, change, name] of cases) {
    expect(seen(object, change)).toEqual([name, true]);
    delete (object as Record<string, unknown>)["more"];
  }
});

it("a member that was taken again counts as it is then", () => {
  for (const key of ["plain", "accessed", "hidden", "value"]) {
    const object = made();
    const taken = new TakenObject(object);
    const quick = new QuickLook();
    quick.add(taken);
    Object.defineProperty(object, key, { get: () => 5, configurable: true, enumerable: true });
    const at = taken.retake(key);
    expect(at).toBe(taken.keys.indexOf(key));
    quick.retake(taken, at);
    expect(taken.change()).toBeUndefined();
    Object.defineProperty(object, key, { get: () => 6 });
    expect(taken.change()).toBe(key);
    expect(quick.isTouched).toBe(true);
  }
  expect(new TakenObject({}).retake("none")).toBe(-1);
});

it("what no loop shows is seen where errors and old classes put it", () => {
  for (const name of ["stack", "super_"]) {
    const put: Change = (it) =>
      void Object.defineProperty(it, name, { value: 1, writable: true, configurable: true });
    expect(seen({ a: 1 }, put)).toEqual([name, true]);
    const object = { a: 1 };
    put(object);
    expect(seen(object, (it) => delete it[name])[1]).toBe(true);
  }
});

it("many objects are looked at, the last as well as the first", () => {
  const objects = Array.from({ length: 5 }, made);
  for (const changed of objects) {
    const quick = new QuickLook();
    for (const object of objects) quick.add(new TakenObject(object));
    expect(quick.isTouched).toBe(false);
    changed["plain"] = 9;
    expect(quick.isTouched).toBe(true);
    changed["plain"] = 1;
  }
});
