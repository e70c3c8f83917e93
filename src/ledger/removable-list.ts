/**
 * What retention may remove, kept as columns: a number takes eight bytes, and a run no object. With
 * a limit over all pipelines, every run that is left is in it at once.
 */

/** A value in a file of its own. Several runs may refer to it. */
export interface ArtifactFacts {
  readonly sha: string;
  readonly bytes: number;
}

/** A run, or a file that belongs to no run. Bytes are counted over all of them in one order. */
export interface Removable {
  readonly name: string;
  readonly run: boolean;
  readonly stampMs: number;
  readonly bytes: number;
  readonly artifacts: readonly ArtifactFacts[] | undefined;
  /** Why it stays, whatever the limits; undefined: it may be removed. */
  readonly stays: string | undefined;
  /** Why it is removed, whatever its size; undefined: only a limit in bytes removes it. */
  readonly overdue: string | undefined;
}

/** Orders them as retention goes over them: the newest first, then by name. */
export function newerFirst(
  a: Pick<Removable, "stampMs" | "name">,
  b: Pick<Removable, "stampMs" | "name">,
): number {
  return b.stampMs - a.stampMs || (a.name < b.name ? 1 : -1);
}

/** Those that are left after the limits of each pipeline. */
export class RemovableList {
  readonly #names: string[] = [];
  readonly #runs: boolean[] = [];
  readonly #stamps: number[] = [];
  readonly #bytes: number[] = [];
  readonly #artifacts: Removable["artifacts"][] = [];
  readonly #stays: Removable["stays"][] = [];

  /** Adds one. It is no longer overdue: what is left is removed by bytes alone. */
  add({ name, run, stampMs, bytes, artifacts, stays }: Removable): void {
    this.#names.push(name);
    this.#runs.push(run);
    this.#stamps.push(stampMs);
    this.#bytes.push(bytes);
    this.#artifacts.push(artifacts);
    this.#stays.push(stays);
  }

  /** All of them, the newest first. */
  *newestFirst(): Generator<Removable> {
    const [stamps, names] = [this.#stamps, this.#names];
    const order = Uint32Array.from(names.keys()).sort(
      (a, b) => stamps[b]! - stamps[a]! || (names[a]! < names[b]! ? 1 : -1),
    );
    for (const index of order)
      yield {
        name: names[index]!,
        run: this.#runs[index]!,
        stampMs: stamps[index]!,
        bytes: this.#bytes[index]!,
        artifacts: this.#artifacts[index],
        stays: this.#stays[index],
        overdue: undefined,
      };
  }
}
