/** What the machine's disk was asked for, in order: for tests of what is durable before what. */
import { onTestFinished, vi } from "vitest";
import { systemDisk } from "../../src/disk/disk.ts";

/**
 * Records calls on `systemDisk` until the test ends: `write PATH`, `datasync PATH`, `sync PATH`,
 * `link PATH`, `rename PATH` (the new name) and `unlink PATH`, each as it begins.
 */
export function recordDiskCalls(): string[] {
  const calls: string[] = [];
  const paths = new Map<number, string>();
  const disk = { ...systemDisk };
  const spies = [
    vi.spyOn(systemDisk, "open").mockImplementation(async (path, ...rest) => {
      const fd = await disk.open(path, ...rest);
      paths.set(fd, path);
      return fd;
    }),
    vi.spyOn(systemDisk, "write").mockImplementation((fd, ...rest) => {
      calls.push(`write ${paths.get(fd)!}`);
      return disk.write(fd, ...rest);
    }),
    vi.spyOn(systemDisk, "fdatasync").mockImplementation((fd) => {
      calls.push(`datasync ${paths.get(fd)!}`);
      return disk.fdatasync(fd);
    }),
    vi.spyOn(systemDisk, "fsync").mockImplementation((fd) => {
      calls.push(`sync ${paths.get(fd)!}`);
      return disk.fsync(fd);
    }),
    vi.spyOn(systemDisk, "link").mockImplementation((existing, path) => {
      calls.push(`link ${path}`);
      return disk.link(existing, path);
    }),
    vi.spyOn(systemDisk, "rename").mockImplementation((from, to) => {
      calls.push(`rename ${to}`);
      return disk.rename(from, to);
    }),
    vi.spyOn(systemDisk, "unlink").mockImplementation((path) => {
      calls.push(`unlink ${path}`);
      return disk.unlink(path);
    }),
  ];
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return calls;
}
