/**
 * A command's options and positionals, read by name. The hand-written parser and yargs both make
 * one.
 */
export class Arguments {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  /** An option's text; the last one where it was given more than once. */
  text(name: string): string | undefined {
    const value = this.#last(name);
    return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
  }

  /** Whether a flag was given. */
  flag(name: string): boolean {
    return this.#last(name) === true;
  }

  /** Every text of an option that may be given more than once. */
  list(name: string): readonly string[] {
    const value = this.#values[name];
    if (value === undefined) return [];
    return (Array.isArray(value) ? value : [value]).map(String);
  }

  #last(name: string): unknown {
    const value = this.#values[name];
    return Array.isArray(value) ? value.at(-1) : value;
  }
}
