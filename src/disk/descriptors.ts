/**
 * Whether files can still be opened. Starting a process takes several descriptors at once, so ask
 * before. If they run out half-way, node:child_process gives a process without pipes. esbuild then
 * throws where nobody can catch it, which ends the process that uses it.
 */
import { closeSync, openSync } from "node:fs";
import { lacksDescriptor } from "./disk-error.ts";

/**
 * The descriptors that starting a process takes at once: its pipes, the channel, and what libuv
 * opens for a moment.
 */
const NEEDED = 16;

/**
 * Makes sure that a process can be started. @throws a Node error (`EMFILE`, `ENFILE`) if too few
 * descriptors are left
 */
export function requireDescriptors(): void {
  const opened: number[] = [];
  try {
    while (opened.length < NEEDED) opened.push(openSync("/dev/null", "r"));
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

/** Whether a process can be started. @throws a Node error if that cannot be found out */
export function hasDescriptors(): boolean {
  try {
    requireDescriptors();
    return true;
  } catch (error) {
    if (lacksDescriptor(error)) return false;
    throw error;
  }
}
