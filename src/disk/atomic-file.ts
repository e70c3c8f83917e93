import { basename, dirname, join } from "node:path";
import { createFile, syncDirectory } from "./directories.ts";
import { systemDisk, writeAll, type Disk } from "./disk.ts";

let names = 0;

/**
 * Writes a whole file. A reader sees the old file or the new one, and the new one is durable when
 * this returns: a file with a dot-name beside it is written, synced and renamed, then the folder is
 * synced. Makes the folder if it is missing.
 *
 * @param options `exactly`: the file gets this mode whatever the umask
 * @throws a Node error; the old file is then still there
 */
export async function writeFileAtomically(
  path: string,
  text: string | Uint8Array,
  options: { readonly disk?: Disk; readonly mode?: number; readonly exactly?: boolean } = {},
): Promise<void> {
  const { disk = systemDisk, mode = 0o640 } = options;
  const directory = dirname(path);
  const aside = join(directory, `.${basename(path)}.${process.pid}-${(names += 1)}`);
  const fd = await createFile(disk, aside, mode);
  try {
    try {
      if (options.exactly === true) await disk.fchmod(fd, mode);
      await writeAll(disk, fd, typeof text === "string" ? Buffer.from(text) : text, 0);
      await disk.fdatasync(fd);
    } finally {
      await disk.close(fd);
    }
    await disk.rename(aside, path);
  } catch (error) {
    await disk.unlink(aside).catch(() => undefined);
    throw error;
  }
  await syncDirectory(disk, directory);
}
