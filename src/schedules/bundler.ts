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
/** How esbuild says that its process is gone. */
const LOST = /^The service (was stopped|is no longer running)/;

/**
 * esbuild's process ended under a call: somebody or the system killed it, or it could not be
 * started. That says nothing about the code, which can be bundled another time.
 */
export class BundlerLost extends Error {
  override readonly name = "BundlerLost";
}

let idle: NodeJS.Timeout | undefined;
let busy = 0;
/** How often its process was found to have ended. */
let losses = 0;

/**
 * Gives esbuild to `use`, which has to call it in the same turn: esbuild starts its process at that
 * call, and ends this process if too few descriptors are left then.
 *
 * @throws a Node error if too few descriptors are left; BundlerLost; what `use` throws
 */
export async function withBundler<T>(use: (esbuild: typeof Esbuild) => Promise<T>): Promise<T> {
  // Before the import, because Node 20 remembers an import that failed.
  requireDescriptors();
  const esbuild = await import("esbuild");
  // After it too, because the first import takes a while.
  requireDescriptors();
  busy += 1;
  const own = losses;
  clearTimeout(idle);
  try {
    return await use(esbuild);
  } catch (error) {
    if (!(error instanceof Error && LOST.test(error.message))) throw error;
    // Else it says the same of each later call. A process that came since is let live: what it was
    // asked would never be answered.
    if (own === losses) {
      losses += 1;
      void esbuild.stop();
    }
    throw new BundlerLost(`esbuild, which bundles code, was ended: ${error.message}`);
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
