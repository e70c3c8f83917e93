/**
 * Whether files can still be opened. Who starts a process needs several descriptors at once, and
 * has to ask before: node:child_process gives a process without pipes where they run out half-way,
 * and esbuild then throws at nobody, which ends the process that uses it.
 */
import { closeSync, openSync } from "node:fs";
import { lacksDescriptor } from "./disk-error.ts";

/**
 * What starting a process takes at once: its pipes, the channel, and what libuv has open meanwhile.
 */
const OF_A_PROCESS = 16;

/**
 * Makes sure that a process can be started. @throws a Node error (`EMFILE`, `ENFILE`) if too few
 * descriptors are left
 */
export function requireDescriptors(): void {
  const opened: number[] = [];
  try {
    while (opened.length < OF_A_PROCESS) opened.push(openSync("/dev/null", "r"));
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}

/** Whether a process can be started. @throws a Node error where that is not known */
export function hasDescriptors(): boolean {
  try {
    requireDescriptors();
    return true;
  } catch (error) {
    if (lacksDescriptor(error)) return false;
    throw error;
  }
}
