/** The ends of processes: of those that a test starts, and of those that are no child of it. */
import type { ChildProcess } from "node:child_process";
import { vi, expect } from "vitest";
import { startTimeOf } from "../../src/ledger/daemon-info.ts";
import { onTestFinished } from "./running-test.ts";

/** Ends a process with the test that starts it, also where that fails or takes too long. */
export function endedWithTest<T extends ChildProcess>(child: T): T {
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

/** Resolves when no process has this pid, or a zombie. @throws where it lives on for 10 s */
export async function awaitEnd(pid: number): Promise<void> {
  await vi.waitFor(() => expect(startTimeOf(pid)).toBeNull(), { timeout: 10_000, interval: 5 });
}
