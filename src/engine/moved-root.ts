/**
 * Re-runs after the root was moved, or restored elsewhere with its ledgers. A frozen snapshot has
 * absolute paths: the pipeline's file, and a shell step's `cwd`. So have bundles, whose modules
 * know where their source files are. Both are put into the place where the pipeline's file is now;
 * the code is otherwise the one that ran.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { CodeRef, Snapshot } from "../core/snapshot.ts";
import { bundlePath, storeBundle } from "../schedules/bundle-store.ts";
import { bundlesOf } from "../core/snapshot-bundles.ts";

/** The lines of a bundle that hold paths of source files; nobody wrote them but the bundler. */
const PLACED = /__orchd_|Symbol\.for\("orchd\.runtime"\)/;

/**
 * The snapshot as it would be where its file is now.
 *
 * @param file the pipeline's file now; undefined if it has none
 * @returns the same object if the file has not moved, or if it is still where it was
 */
export function movedSnapshot(
  snapshot: Snapshot,
  file: string | undefined,
  bundles: string,
): Snapshot {
  if (file === undefined || existsSync(snapshot.file) || !existsSync(file)) return snapshot;
  const [from, to] = roots(snapshot.file, file);
  const move = (path: string): string =>
    path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
  const shas = new Map<string, string>();
  for (const sha of bundlesOf(snapshot)) {
    if (!existsSync(bundlePath(bundles, sha))) continue;
    const text = readFileSync(bundlePath(bundles, sha), "utf8");
    const moved = movedText(text, from, to);
    if (moved !== text) shas.set(sha, storeBundle(bundles, moved));
  }
  const placed = withBundles(snapshot, shas);
  return {
    ...placed,
    file: join(move(dirname(snapshot.file)), basename(snapshot.file)),
    steps: placed.steps.map((step) =>
      step.cwd === undefined ? step : { ...step, cwd: move(step.cwd) },
    ),
  };
}

/** The folders that have changed: what is before the part that both paths end in. */
function roots(before: string, after: string): readonly [string, string] {
  const [from, to] = [dirname(before).split("/"), dirname(after).split("/")];
  while (from.length > 1 && to.length > 1 && from.at(-1) === to.at(-1)) {
    from.pop();
    to.pop();
  }
  return [from.join("/"), to.join("/")];
}

function movedText(text: string, from: string, to: string): string {
  const url = (path: string): string => pathToFileURL(path).href;
  return text
    .split("\n")
    .map((line) =>
      PLACED.test(line)
        ? line
            .replaceAll(`"${url(from)}/`, () => `"${url(to)}/`)
            .replaceAll(`"${from}/`, () => `"${to}/`)
        : line,
    )
    .join("\n");
}

/** The snapshot with other bundles in the places that name code. */
function withBundles(snapshot: Snapshot, shas: ReadonlyMap<string, string>): Snapshot {
  if (shas.size === 0) return snapshot;
  const replaced = <T>(value: T): T => {
    if (value === null || typeof value !== "object") return value;
    const { bundle, pick } = value as Partial<CodeRef>;
    if (typeof bundle === "string" && typeof pick === "string")
      return { ...value, bundle: shas.get(bundle) ?? bundle };
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, replaced(member as unknown)]),
    ) as T;
  };
  const { orchestrator, stepDefaults } = snapshot;
  return {
    ...snapshot,
    hooks: replaced(snapshot.hooks),
    orchestrator: { ...orchestrator, code: replaced(orchestrator.code) },
    dynamic: replaced(snapshot.dynamic),
    stepDefaults:
      stepDefaults === undefined
        ? undefined
        : { ...stepDefaults, hooks: replaced(stepDefaults.hooks) },
    steps: snapshot.steps.map((step) => ({
      ...step,
      code: replaced(step.code),
      hooks: replaced(step.hooks),
      cache:
        step.cache === undefined
          ? undefined
          : { ...step.cache, cacheFunction: replaced(step.cache.cacheFunction) },
    })),
  };
}
