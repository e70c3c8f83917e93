/**
 * What the machine's disk was asked for, call by call, and what was not waited for: each call takes
 * some turns of the event loop, so one that begins beside another shows.
 */
import { basename, dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { onTestFinished, vi } from "vitest";
import { systemDisk, type Disk } from "../../src/disk/disk.ts";

/** The calls on `systemDisk` since it was traced. */
export interface DiskTrace {
  /**
   * `write a.json`, `sync months`, `rename .a.json a.json`: files by their names, a name aside
   * without its number. A call that began while another one was under way has `beside` before it.
   */
  readonly calls: string[];
  /** The calls that have begun and not ended. */
  readonly underWay: Set<string>;
  /** Descriptors that are not closed, or whose close nobody has waited for: files by name. */
  readonly open: Map<number, string>;
  /** Lets calls of this name fail, in the words of {@link calls}. */
  failing?: { readonly call: string; readonly code: string };
}

const plain = (path: string): string => basename(path).replace(/^(\..+)\.\d+(?:-\d+)?$/, "$1");
const folderAnd = (path: string): string => `${basename(dirname(path))}/${plain(path)}`;

const real = { ...systemDisk };

/** Traces `systemDisk` until the test ends. Opening and closing for reading are left out. */
export function traceDisk(): DiskTrace {
  const trace: DiskTrace = { calls: [], underWay: new Set(), open: new Map() };
  const { open: paths } = trace;
  const traced = async <T>(call: string, act: () => Promise<T>): Promise<T> => {
    trace.calls.push(trace.underWay.size > 0 ? `beside ${call}` : call);
    trace.underWay.add(call);
    try {
      for (let turn = 0; turn < 3; turn += 1) await nextTurn();
      if (trace.failing?.call === call)
        throw Object.assign(new Error("it fails"), { code: trace.failing.code });
      return await act();
    } finally {
      trace.underWay.delete(call);
    }
  };
  const nameOf = (fd: number): string => plain(paths.get(fd) ?? "?");
  const disk: Disk = {
    open: async (path, flags, mode) => {
      const open = async (): Promise<number> => {
        const fd = await real.open(path, flags, mode);
        paths.set(fd, path);
        return fd;
      };
      return flags === "r" || flags === "r+" ? open() : traced(`create ${plain(path)}`, open);
    },
    write: (fd, bytes, offset, position) =>
      traced(`write ${nameOf(fd)}`, () => real.write(fd, bytes, offset, position)),
    fdatasync: (fd) => traced(`datasync ${nameOf(fd)}`, () => real.fdatasync(fd)),
    fsync: (fd) => traced(`sync ${nameOf(fd)}`, () => real.fsync(fd)),
    fchmod: (fd, mode) =>
      traced(`chmod ${nameOf(fd)} ${mode.toString(8)}`, () => real.fchmod(fd, mode)),
    ftruncate: (fd, length) =>
      traced(`truncate ${nameOf(fd)} ${length}`, () => real.ftruncate(fd, length)),
    close: async (fd) => {
      const call = `close ${nameOf(fd)}`;
      trace.underWay.add(call);
      for (let turn = 0; turn < 3; turn += 1) await nextTurn();
      await real.close(fd);
      trace.underWay.delete(call);
      paths.delete(fd);
    },
    link: (existing, path) =>
      traced(`link ${plain(existing)} ${plain(path)}`, () => real.link(existing, path)),
    rename: (from, to) =>
      traced(
        dirname(from) === dirname(to)
          ? `rename ${plain(from)} ${plain(to)}`
          : `rename ${folderAnd(from)} ${folderAnd(to)}`,
        () => real.rename(from, to),
      ),
    unlink: (path) => traced(`unlink ${plain(path)}`, () => real.unlink(path)),
    mkdir: (path) => traced(`mkdir ${plain(path)}`, () => real.mkdir(path)),
  };
  const names = Object.keys(disk) as (keyof Disk)[];
  const spies = names.map((name) =>
    vi.spyOn(systemDisk, name).mockImplementation(disk[name] as never),
  );
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return trace;
}
