/** JSON objects, where a value or a text may be anything. */

/** Whether a value is an object with names: no list and not null. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The JSON object that a text holds, such as a line; undefined where it holds none. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Whether an object has no member. Unlike `Object.keys` it makes no list. */
export function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}
