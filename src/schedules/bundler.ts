/**
 * esbuild, which bundles users' modules in a process of its own.
 *
 * Idle -> (a first call) running -> (5 s without a call) idle: the process starts with the first
 * call and is stopped when it has had no work for a while. A daemon that loads nothing keeps none.
 */
import type * as Esbuild from "esbuild";
import { requireDescriptors } from "../disk/descriptors.ts";

/** How long esbuild's process is kept after the last bundle. */
const IDLE_MS = 5_000;

let idle: NodeJS.Timeout | undefined;
let busy = 0;

/**
 * Gives esbuild to `use`, which has to call it in the same turn: esbuild starts its process at that
 * call, and ends this process if too few descriptors are left then.
 *
 * @throws a Node error if too few descriptors are left; what `use` throws
 */
export async function withBundler<T>(use: (esbuild: typeof Esbuild) => Promise<T>): Promise<T> {
  // Before the import, because Node 20 remembers an import that failed.
  requireDescriptors();
  const esbuild = await import("esbuild");
  // After it too, because the first import takes a while.
  requireDescriptors();
  busy += 1;
  clearTimeout(idle);
  try {
    return await use(esbuild);
  } finally {
    busy -= 1;
    if (busy === 0) idle = setTimeout(() => void esbuild.stop(), IDLE_MS).unref();
  }
}

/** Stops esbuild's process now, unless it is bundling: for tests and for the daemon's end. */
export async function stopBundler(): Promise<void> {
  clearTimeout(idle);
  if (busy === 0) await (await import("esbuild")).stop();
}
