/** Reads Prometheus' text by its own rules, and not by those of the program that wrote it. */

/** The series of one text. */
export interface Series {
  readonly types: ReadonlyMap<string, string>;
  readonly helps: ReadonlyMap<string, string>;
  /** The value of a series; undefined if there is none. */
  readonly value: (name: string, labels: Readonly<Record<string, string>>) => number | undefined;
  /** The labels of all series of a name. */
  readonly keysOf: (name: string) => Record<string, string>[];
  /** Every series by its text, `NAME{LABELS}`. */
  readonly all: ReadonlyMap<string, number>;
}

/** Takes a text apart. @throws where a line is none of the format, or a series is there twice */
export function parseMetrics(text: string): Series {
  const types = new Map<string, string>();
  const helps = new Map<string, string>();
  const all = new Map<string, number>();
  const labelsOf = new Map<string, Record<string, string>[]>();
  for (const line of text.split("\n")) {
    if (line === "" || line === "# EOF") continue;
    const comment = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
    if (comment !== null) {
      (comment[1] === "TYPE" ? types : helps).set(comment[2]!, comment[3]!);
      continue;
    }
    const sample = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (sample === null) throw new Error(`no line of metrics: ${line}`);
    const [, name = "", inside = "", number = ""] = sample;
    const labels: Record<string, string> = {};
    for (const [, key = "", value = ""] of inside.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g))
      labels[key] = value;
    const key = keyOf(name, labels);
    if (all.has(key)) throw new Error(`twice: ${key}`);
    all.set(key, Number(number));
    const known = labelsOf.get(name);
    if (known === undefined) labelsOf.set(name, [labels]);
    else known.push(labels);
  }
  return {
    types,
    helps,
    all,
    value: (name, labels) => all.get(keyOf(name, labels)),
    keysOf: (name) => labelsOf.get(name) ?? [],
  };
}

function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return `${name}{${pairs.toSorted().join(",")}}`;
}
