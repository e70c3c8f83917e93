/** The names of what orchd starts in containers: each root and each attempt has its own. Pure. */
import { createHash } from "node:crypto";

/** What is in the names of all that a root has. */
export function idOf(root: string): string {
  return createHash("sha256").update(root).digest("hex").slice(0, 12);
}

/**
 * What is in the environment of the engine's command that makes a container, so that a command
 * which outlived its daemon is found. Whoever has another root has another one.
 */
export function clientToken(root: string): string {
  return `orchd-engine-${idOf(root)}`;
}

/** What marks all that an attempt starts in a container that runs already. @param name its own */
export function execToken(name: string): string {
  return `exec-${name}`;
}

/** The name of an attempt's container. No two attempts of any root have the same. */
export function containerName(root: string, id: string): string {
  const readable = id.replaceAll(/[^A-Za-z0-9_.-]/g, "-").slice(0, 100);
  return `orchd-${readable}-${idOf(`${root}\n${id}`)}`;
}

const KEPT = "-kept";

/** The name of a runner's container that stays. @param name its own before that */
export function keptName(name: string): string {
  return `${name}${KEPT}`;
}

/** Whether this is the name of a runner's container that stays. */
export function isKeptName(name: string): boolean {
  return name.endsWith(KEPT);
}
