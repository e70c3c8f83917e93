/**
 * What a place says of itself: for `orchd places`, and for the reason why a step waits for one.
 * How many steps run there is not in it: ledgers say that (`step.placed`).
 */

/** One machine of a place: a host, or a worker of a broker. */
export interface PlaceHost {
  /** Its name, as `step.placed` has it. */
  readonly host: string;
  readonly labels: readonly string[];
  /** How many steps of each kind it runs at once. */
  readonly threads: number;
  /** `20.20.0`; undefined: not known yet. */
  readonly node?: string | undefined;
  /** The release of orchd there, and the protocol that it speaks. */
  readonly version?: string | undefined;
  readonly protocol?: number | undefined;
  /** `linux/x64`. */
  readonly platform?: string | undefined;
  /** Why it takes no work, in a sentence. Undefined: it does. */
  readonly because?: string | undefined;
}

/** One place. */
export interface PlaceReport {
  readonly place: string;
  /** `local`, `podman`, `docker`, `ssh`, `nats`, `redis`. */
  readonly engine: string;
  /** The engine's own version: podman's, the broker's. Undefined: it has none, or is not known. */
  readonly engineVersion?: string | undefined;
  /** Its name is one of them. */
  readonly labels: readonly string[];
  readonly hosts: readonly PlaceHost[];
  /** Why it takes no work, in a sentence: `the broker at … does not answer`. Undefined: it does. */
  readonly because?: string | undefined;
}

/**
 * Why a step that wants all these labels finds no host that takes it, in a sentence. Undefined:
 * some host takes work and has them all, so the step waits for room, or does not wait at all.
 */
export function whyUnserved(
  labels: readonly string[],
  reports: readonly PlaceReport[],
): string | undefined {
  const reasons: string[] = [];
  for (const report of reports) {
    const { place, hosts, because } = report;
    const missing = labels.filter((label) => label !== place && !report.labels.includes(label));
    const able = hosts.filter((host) => missing.every((label) => host.labels.includes(label)));
    // A place without hosts says only by its own labels what it would take.
    if (hosts.length === 0 && missing.length === 0)
      reasons.push(because ?? `no worker of "${place}" is up`);
    else if (because !== undefined && able.length > 0) reasons.push(because);
    else if (able.some((host) => host.because === undefined)) return undefined;
    else reasons.push(...able.map((host) => host.because ?? ""));
  }
  if (reasons.length > 0) return joined(reasons);
  const wanted = labels.map((label) => `"${label}"`).join(" and ");
  // Workers say their own labels: who does not answer now may have them.
  const silent = reports.filter(
    ({ engine, because }) => because !== undefined && (engine === "nats" || engine === "redis"),
  );
  return joined([
    `no place has ${labels.length === 1 ? "the label" : "all of the labels"} ${wanted}`,
    ...silent.map(({ because }) => because!),
  ]);
}

/** One sentence of several. */
function joined(sentences: readonly string[]): string {
  const [first = "", ...more] = new Set(sentences);
  if (more.length === 0) return first;
  return [first, ...more].map((sentence) => sentence.replace(/\.$/, "")).join("; ");
}
