/** The system's disk, which counts every call and fails where a test wants it to. */
import { closeSync } from "node:fs";
import { systemDisk, type Disk } from "../../src/disk/disk.ts";

/** A disk that counts, and fails on demand. */
export interface FaultyDisk extends Disk {
  readonly calls: Record<keyof Disk, number>;
  /** Called before each call; the error that it returns is thrown. */
  before: (call: keyof Disk, args: readonly unknown[]) => Error | undefined;
  /** Closes every open file, as the kernel does for a process that dies. */
  die(): void;
}

/** An error as Node gives it. */
export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: planted`), { code });
}

/** A disk that passes each call on to the system's disk, unless the test makes it fail. */
export function faultyDisk(): FaultyDisk {
  const names = Object.keys(systemDisk) as (keyof Disk)[];
  const disk = {
    calls: Object.fromEntries(names.map((name) => [name, 0])),
    before: () => undefined,
  } as unknown as FaultyDisk;
  const open = new Set<number>();
  disk.die = () => {
    for (const fd of open) closeSync(fd);
    open.clear();
  };
  for (const name of names) {
    const real = systemDisk[name] as (...args: unknown[]) => Promise<unknown>;
    (disk as unknown as Record<string, unknown>)[name] = async (...args: unknown[]) => {
      disk.calls[name] += 1;
      const error = disk.before(name, args);
      if (error !== undefined) throw error;
      if (name === "close") open.delete(args[0] as number);
      const result = await real(...args);
      if (name === "open") open.add(result as number);
      return result;
    };
  }
  return disk;
}
