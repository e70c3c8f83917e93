/**
 * What the language and Node give every step of a thread, as it was before any step ran: all that
 * can be reached from `globalThis` and from Node's public modules. Tells whether something of it
 * was changed since: a member added, replaced or removed, an attribute, an order, a prototype.
 *
 * Looking at all 13,000 members takes several milliseconds, and a thread looks whenever another
 * pipeline's step comes. So the functions without members of their own, which are most objects, are
 * frozen instead: nobody gives these members, and what is frozen need not be looked at. What is
 * often patched (prototypes, namespaces, classes) stays as changeable as it was. It is looked at
 * quickly (quick-look.ts), and thoroughly (taken-object.ts) only where that does not suffice.
 *
 * Some things are only made when they are first used (a module, `fetch`). Nobody knows afterwards
 * whether a step changed them, so what code names is taken in before the code is evaluated
 * ({@link Pristine.foresee}). Whatever was made unforeseen counts as changed.
 *
 * State that is no member of an object cannot be seen here: see tripwires.ts.
 */
import { createRequire, builtinModules, syncBuiltinESMExports } from "node:module";
import { promisify, types } from "node:util";
import { QuickLook } from "./quick-look.ts";
import { TakenObject } from "./taken-object.ts";

const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
const { isFrozen } = Object;
const { isMap, isProxy, isSet } = types;
/** `set.has(value)` that no step can change. */
const has = Function.prototype.call.bind(Set.prototype.has) as unknown as (
  set: ReadonlySet<object>,
  value: object,
) => boolean;
const require = createRequire(import.meta.url);
/** Node's own function: the one that steps find is wrapped (tripwires.ts). */
const syncExports = syncBuiltinESMExports;

/** Node's modules that may be imported, by their names without `node:`. */
const PUBLIC: ReadonlySet<string> = new Set(builtinModules);
/** Modules whose objects others give out, though they were not imported. */
const GIVEN_OUT = [
  "process",
  "console",
  "fs/promises",
  "timers/promises",
  "stream/promises",
  "perf_hooks",
];
/** Modules that reach past one thread, or change how all code runs. */
const UNSAFE: ReadonlySet<string> = new Set(["domain", "inspector", "inspector/promises", "repl"]);
/** The word under which process.moduleLoadList names a module. */
const LISTED = "NativeModule ";
/** A specifier of an import, or of what imports at run time. */
const IMPORTED = /(?:\bfrom|\bimport|\brequire\w*|\bgetBuiltinModule)\s*\(?\s*["']([^"']+)["']/g;

/** Hears of a module before it is taken in, and may change what has to be changed in it. */
export type Prepare = (name: string, module: object) => void;

/** All that steps share, as it was. */
export class Pristine {
  readonly #seen = new Set<object>();
  readonly #taken: TakenObject[] = [];
  readonly #quick = new QuickLook();
  readonly #modules = new Map<string, object>();
  readonly #prepare: Prepare;
  /**
   * Members that are made when they are first used, by their names, with the objects they are of.
   */
  readonly #late = new Map<string, object[]>();
  #listed = 0;
  #unsure: string | undefined;
  /** The quick look does not suffice. */
  #isRedefined = false;

  /** @param prepare hears of each module before it is taken in, and of `globalThis` */
  constructor(prepare: Prepare) {
    this.#prepare = prepare;
    // It grows with each module.
    this.#seen.add(listed());
    prepare("globalThis", globalThis);
    promisifyAll(globalThis);
    this.#expectLate(globalThis);
    this.#walk([globalThis, ...this.#loadAll(GIVEN_OUT), ...prototypesWithoutNames()]);
    this.#listed = listed().length;
  }

  /** Takes in what a text names, before it is evaluated. */
  foresee(text: string): void {
    const roots = [...this.#touch(text)];
    const loaded = new Set(loadedModules());
    const more: string[] = [];
    for (const [, specifier] of text.matchAll(IMPORTED)) {
      const name = specifier!.replace(/^node:/, "");
      if (!PUBLIC.has(name) || this.#modules.has(name)) continue;
      if (UNSAFE.has(name)) this.#unsure ??= `node:${name} was used`;
      else if (loaded.has(name)) this.#unsure ??= `node:${name} was used unforeseen`;
      else more.push(name);
    }
    if (more.length > 0) {
      roots.push(...this.#loadAll(more));
      // They may have late members of their own, which the text names too.
      roots.push(...this.#touch(text));
    }
    if (roots.length === 0) return;
    this.#walk(roots);
    this.#listed = listed().length;
  }

  /** Uses the late members that a text names. @returns their values */
  #touch(text: string): unknown[] {
    if (this.#late.size === 0) return [];
    const names = [...this.#late.keys()].join("|").replaceAll("$", String.raw`\$`);
    const found = new Set(text.match(new RegExp(String.raw`\b(?:${names})\b`, "g")));
    return [...found].flatMap((name) => {
      const holders = this.#late.get(name)!;
      this.#late.delete(name);
      return holders.map((holder) => {
        if (!isLate(holder, name)) this.#unsure ??= `${name} was used unforeseen`;
        const value = Reflect.get(holder, name) as unknown;
        this.#retake(holder, name);
        return value;
      });
    });
  }

  /** A member was made just now, by the thread itself: it is as Node makes it. */
  #retake(holder: object, name: string): void {
    const taken = this.#taken.find(({ object }) => object === holder);
    const at = taken?.retake(name) ?? -1;
    if (at !== -1) this.#quick.retake(taken!, at);
  }

  #expectLate(holder: object): void {
    for (const name of Object.getOwnPropertyNames(holder)) {
      if (!isLate(holder, name)) continue;
      const holders = this.#late.get(name);
      if (holders === undefined) this.#late.set(name, [holder]);
      else holders.push(holder);
    }
  }

  /** Takes in a module that is no module of Node: its exports and their prototypes. */
  include(exports: object): void {
    for (const value of Object.values(exports) as unknown[]) {
      if (!isObject(value)) continue;
      this.#take(value);
      const prototype = (value as { readonly prototype?: unknown }).prototype;
      if (typeof value === "function" && isObject(prototype)) this.#take(prototype);
    }
  }

  /** Takes in the class of something that Node made just now, before anybody else has it. */
  adopt(made: object): void {
    this.#walk([getPrototypeOf(made)]);
  }

  /** What is not as it was, for people; undefined if all is. */
  difference(): string | undefined {
    if (this.#unsure !== undefined) return this.#unsure;
    if (listed().length !== this.#listed) {
      const unforeseen = loadedModules().find((name) => !this.#modules.has(name));
      if (unforeseen !== undefined) return `node:${unforeseen} was used unforeseen`;
      this.#listed = listed().length;
    }
    if (!this.#isRedefined && !this.#quick.isTouched) return undefined;
    const taken = this.#taken;
    for (let at = 0; at < taken.length; at += 1) {
      const changed = taken[at]!.change();
      if (changed !== undefined) return `${changed} was changed`;
    }
    if (this.#quick.isTouched) return "something was changed";
    this.#isRedefined = false;
    return undefined;
  }

  /** Something was given members with attributes: if steps share it, the next look is thorough. */
  redefined(target: unknown): void {
    if (isProxy(target) || has(this.#seen, target as object)) this.#isRedefined = true;
  }

  /** Loads modules, and takes note of those that they load. @returns what is to be walked */
  #loadAll(names: readonly string[]): unknown[] {
    const late = [...this.#late].flatMap(([name, holders]) =>
      holders.filter((holder) => isLate(holder, name)).map((holder) => [holder, name] as const),
    );
    for (const name of names) this.#load(name);
    syncExports();
    const roots: unknown[] = [...this.#modules.values()];
    for (const [holder, name] of late) {
      if (isLate(holder, name)) continue;
      this.#retake(holder, name);
      roots.push(Reflect.get(holder, name));
    }
    return roots;
  }

  #load(name: string): void {
    try {
      require(`node:${name}`);
    } catch {
      this.#unsure ??= `node:${name} was asked for`;
      return;
    }
    for (const other of [name, ...loadedModules()]) {
      if (this.#modules.has(other)) continue;
      const module = require(`node:${other}`) as object;
      this.#modules.set(other, module);
      this.#prepare(other, module);
      promisifyAll(module);
      this.#expectLate(module);
    }
  }

  #walk(roots: readonly unknown[]): void {
    const queue = [...roots];
    for (let at = 0; at < queue.length; at += 1) {
      const object = queue[at];
      if (isObject(object)) this.#take(object, queue);
    }
  }

  /** Takes in one object. @param found gets what it leads to */
  #take(object: object, found: unknown[] = []): void {
    if (this.#seen.has(object)) return;
    this.#seen.add(object);
    // The bytes of a buffer are no members.
    if (ArrayBuffer.isView(object)) return;
    if (typeof object === "function" && this.#freezePlain(object)) {
      found.push(getPrototypeOf(object));
      return;
    }
    const taken = new TakenObject(object);
    this.#add(taken);
    found.push(taken.prototype);
    for (const member of taken.members)
      if ("value" in member) found.push(member.value);
      else found.push(member.get, member.set);
  }

  #add(taken: TakenObject): void {
    // Node gives out some frozen: nobody changes these.
    if (isFrozen(taken.object) && !isMap(taken.object) && !isSet(taken.object)) return;
    this.#taken.push(taken);
    this.#quick.add(taken);
  }

  /**
   * Freezes a function on which nothing can be hung except on itself, and its empty prototype. Most
   * objects are such functions, so no descriptor is made of what needs none.
   *
   * @returns false if it has members or a prototype that people use
   */
  #freezePlain(value: object): boolean {
    const keys = ownKeys(value);
    for (const key of keys)
      if (key !== "length" && key !== "name" && key !== "prototype") return false;
    const { length, name } = value as { readonly length?: unknown; readonly name?: unknown };
    if (isObject(length) || isObject(name)) return false;
    if (keys.includes("prototype")) {
      const prototype = getOwnPropertyDescriptor(value, "prototype")!.value as unknown;
      if (!isObject(prototype) || !this.#isEmptyPrototypeOf(prototype, value)) return false;
      this.#seen.add(prototype);
      Object.freeze(prototype);
    }
    Object.freeze(value);
    return true;
  }

  #isEmptyPrototypeOf(prototype: object, value: object): boolean {
    return (
      !this.#seen.has(prototype) &&
      getPrototypeOf(prototype) === Object.prototype &&
      ownKeys(prototype).length === 1 &&
      getOwnPropertyDescriptor(prototype, "constructor")?.value === value
    );
  }
}

/** The prototypes that nothing names, and that everybody gets at by what has them. */
function prototypesWithoutNames(): unknown[] {
  const timer = setTimeout(() => {}, 0);
  clearTimeout(timer);
  const immediate = setImmediate(() => {});
  clearImmediate(immediate);
  const made: object[] = [
    timer,
    immediate,
    [].values(),
    new Map().values(),
    new Set().values(),
    ""[Symbol.iterator](),
    "".matchAll(/a/g),
    new URLSearchParams().values(),
    (function* () {})(),
    (async function* () {})(),
    function* () {},
    async function* () {},
    async () => {},
    new Intl.Segmenter().segment(""),
    new Intl.Segmenter().segment("")[Symbol.iterator](),
    (function () {
      // eslint-disable-next-line prefer-rest-params -- its iterator is an array's
      return arguments;
    })(),
  ];
  return made.map((each) => getPrototypeOf(each));
}

/** Has `util.promisify` give its members to functions now: they are frozen later. */
function promisifyAll(module: object): void {
  for (const key of ownKeys(module)) {
    const value = getOwnPropertyDescriptor(module, key)?.value as unknown;
    if (typeof value === "function" && Object.hasOwn(value, promisify.custom))
      promisify(value as () => void);
  }
}

function isLate(holder: object, name: string): boolean {
  return getOwnPropertyDescriptor(holder, name)?.get !== undefined;
}

/** The modules that Node has loaded so far, its internal ones too. It is not in Node's types. */
function listed(): readonly string[] {
  return (process as unknown as { readonly moduleLoadList: readonly string[] }).moduleLoadList;
}

function loadedModules(): string[] {
  return listed()
    .filter((name) => name.startsWith(LISTED))
    .map((name) => name.slice(LISTED.length))
    .filter((name) => PUBLIC.has(name));
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
