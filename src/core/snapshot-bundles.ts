import type { Snapshot } from "./snapshot.ts";

/** The bundles of all code that a snapshot may call, by sha256. */
export function bundlesOf(snapshot: Snapshot): Set<string> {
  const found = new Set<string>();
  const walk = (value: unknown): void => {
    if (value === null || typeof value !== "object") return;
    const { bundle, pick } = value as { bundle?: unknown; pick?: unknown };
    if (typeof bundle === "string" && typeof pick === "string") found.add(bundle);
    else for (const member of Object.values(value)) walk(member);
  };
  // Only members that hold code: params may hold anything.
  for (const step of snapshot.steps)
    walk({ code: step.code, hooks: step.hooks, cache: step.cache?.cacheFunction });
  walk({
    hooks: snapshot.hooks,
    dynamic: snapshot.dynamic,
    orchestrator: snapshot.orchestrator.code,
  });
  return found;
}
