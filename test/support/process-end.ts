/** Waits for the end of a process that is no child of this one. */
import { vi, expect } from "vitest";
import { startTimeOf } from "../../src/ledger/daemon-info.ts";

/** Resolves when no process has this pid, or a zombie. @throws where it lives on for 10 s */
export async function awaitEnd(pid: number): Promise<void> {
  await vi.waitFor(() => expect(startTimeOf(pid)).toBeNull(), { timeout: 10_000, interval: 5 });
}
