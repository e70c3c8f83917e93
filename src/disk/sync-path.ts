import { closeSync, fsyncSync, openSync } from "node:fs";

/** Makes durable what a file or a folder holds now. @throws a Node error */
export function syncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
