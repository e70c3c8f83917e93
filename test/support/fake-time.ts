/** libfaketime, where it is installed. */
import { existsSync } from "node:fs";

/** The library's path; undefined where there is none. */
export const fakeTimeLibrary = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
].find((path) => existsSync(path));
