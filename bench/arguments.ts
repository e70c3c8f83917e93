/** What the words of `npm run bench -- WORDS` ask for. */
import { parseArgs } from "node:util";

export interface Arguments {
  /** The benches to run, in order. */
  readonly benches: readonly string[];
  readonly short: boolean;
  readonly runs: number | undefined;
  /** Print JSON in place of tables. */
  readonly json: boolean;
  /** Keep what was measured; JSON is always kept. */
  readonly keep: boolean;
  /** Fail if a goal is missed or something got worse. */
  readonly check: boolean;
  /** The file to compare with; "last": the last kept one. */
  readonly against: string | undefined;
  readonly list: boolean;
}

/** A bench that can be asked for. */
export interface Offer {
  /** How long it takes, in words. */
  readonly takes: string;
  /** Whether it runs if none is named: "long" only without --short. */
  readonly unnamed: "always" | "long" | "never";
}

/** @throws Error with a sentence for the user */
export function parseArguments(
  words: readonly string[],
  offers: Readonly<Record<string, Offer>>,
): Arguments {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      against: { type: "string" },
    },
  });
  const runs = positionals.find((word) => /^\d+$/.test(word));
  const named = positionals.filter((word) => word !== runs);
  const unknown = named.filter((name) => !Object.hasOwn(offers, name));
  if (unknown.length > 0)
    throw new Error(
      `There is no bench ${unknown.join(", ")}; there are ${Object.keys(offers).join(", ")}.`,
    );
  const unnamed = Object.entries(offers)
    .filter(
      ([, offer]) => offer.unnamed === "always" || (offer.unnamed === "long" && !values.short),
    )
    .map(([name]) => name);
  return {
    benches: named.length > 0 ? named : unnamed,
    short: values.short,
    runs: runs === undefined ? undefined : Number(runs),
    json: values.json,
    keep: values.keep || values.json,
    check: values.check,
    against: values.against,
    list: values.list,
  };
}
