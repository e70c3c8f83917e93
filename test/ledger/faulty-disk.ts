/** The system's disk with a count of every call, and failures where a test wants them. */
import { systemDisk, type Disk } from "../../src/ledger/disk.ts";

/** A disk that counts, and fails on demand. */
export interface FaultyDisk extends Disk {
  readonly calls: Record<keyof Disk, number>;
  /** Asked before each call; what it returns is thrown. */
  before: (call: keyof Disk, args: readonly unknown[]) => Error | undefined;
}

/** An error as Node gives it. */
export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: planted`), { code });
}

/** A disk over the system's that counts calls and does as it is told. */
export function faultyDisk(): FaultyDisk {
  const names = Object.keys(systemDisk) as (keyof Disk)[];
  const disk = { calls: Object.fromEntries(names.map((name) => [name, 0])), before: () => undefined } as unknown as FaultyDisk;
  for (const name of names) {
    const real = systemDisk[name] as (...args: unknown[]) => Promise<unknown>;
    (disk as unknown as Record<string, unknown>)[name] = async (...args: unknown[]) => {
      disk.calls[name] += 1;
      const error = disk.before(name, args);
      if (error !== undefined) throw error;
      return real(...args);
    };
  }
  return disk;
}
