/** An object that all steps share, as it was when it was taken in. */
const { apply, getOwnPropertyDescriptor, getPrototypeOf, isExtensible, ownKeys } = Reflect;
const sizeOfMap = getOwnPropertyDescriptor(Map.prototype, "size")!.get!;
const sizeOfSet = getOwnPropertyDescriptor(Set.prototype, "size")!.get!;

/** One object as it was, and the thorough look at whether it still is so. */
export class TakenObject {
  readonly object: object;
  readonly prototype: object | null;
  readonly isExtensible: boolean;
  readonly keys: readonly PropertyKey[];
  readonly members: PropertyDescriptor[];
  readonly #size: unknown;

  /** Takes an object as it is now. */
  constructor(object: object) {
    this.object = object;
    this.prototype = getPrototypeOf(object);
    this.isExtensible = isExtensible(object);
    this.keys = ownKeys(object);
    this.members = this.keys.map((key) => getOwnPropertyDescriptor(object, key)!);
    this.#size = sizeOf(object);
  }

  /** The members that loops show, in order. */
  get shown(): string[] {
    return this.keys.filter(
      (key, at): key is string => typeof key === "string" && this.members[at]!.enumerable === true,
    );
  }

  /** Takes one member again, as it is now. @returns its place; -1 if there was none */
  retake(key: PropertyKey): number {
    const at = this.keys.indexOf(key);
    if (at !== -1) this.members[at] = getOwnPropertyDescriptor(this.object, key)!;
    return at;
  }

  /** The name of the first member that changed, for people; undefined if none did. */
  change(): string | undefined {
    const { object, prototype, keys, members } = this;
    const now = ownKeys(object);
    if (getPrototypeOf(object) !== prototype) return nameOf(object, "a prototype");
    if (isExtensible(object) !== this.isExtensible) return nameOf(object, "what can be added");
    for (let at = 0; at < keys.length; at += 1) {
      const key = keys[at]!;
      if (now[at] !== key) return nameOf(object, String(now[at] ?? key));
      if (isChanged(object, key, members[at]!)) return nameOf(object, String(key));
    }
    if (now.length !== keys.length) return nameOf(object, String(now[keys.length]));
    return this.#size === sizeOf(object) ? undefined : nameOf(object, "what it holds");
  }
}

/** Whether a member can be anything else than it is. */
export function isChangeable({ configurable, writable }: PropertyDescriptor): boolean {
  return configurable === true || writable === true;
}

/** Whether a member is not as it was. */
export function isChanged(object: object, key: PropertyKey, was: PropertyDescriptor): boolean {
  if (!isChangeable(was)) return false;
  const is = getOwnPropertyDescriptor(object, key);
  return (
    is === undefined ||
    is.value !== was.value ||
    is.get !== was.get ||
    is.set !== was.set ||
    is.writable !== was.writable ||
    is.enumerable !== was.enumerable ||
    is.configurable !== was.configurable
  );
}

/** How much a Map or a Set holds; undefined for all else. */
export function sizeOf(object: object): unknown {
  if (object instanceof Map) return apply(sizeOfMap, object, []);
  return object instanceof Set ? apply(sizeOfSet, object, []) : undefined;
}

function nameOf(object: object, member: string): string {
  const holder =
    typeof object === "function"
      ? object.name
      : (getOwnPropertyDescriptor(object, "constructor")?.value as { name?: string } | undefined)
          ?.name;
  return holder === undefined || holder === "" ? member : `${holder} (${member})`;
}
