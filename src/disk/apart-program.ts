/**
 * How orchd starts a program that is no step's: ssh, a container engine, the page. It gets the
 * files that it is given, and no other (inherited-descriptors.ts): a lock that `flock` took in
 * the shell above the daemon would be held by podman's conmon, which outlives it.
 *
 * Node can give a program another file under a number, and closes none. So the program gets
 * `/dev/null` under the numbers of those files. A runner closes them itself, as its steps see
 * every number.
 */
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { inheritedDescriptors } from "./inherited-descriptors.ts";

/** Where one of a program's files comes from. Streams are not taken. */
export type GivenFile = "ignore" | "pipe" | "inherit" | "ipc";

/** As Node's; each file that the program is given is listed. Default: three pipes. */
export interface ApartOptions extends Omit<SpawnOptions, "stdio"> {
  readonly stdio?: readonly GivenFile[];
}

const PIPES = ["pipe", "pipe", "pipe"] as const;

/** Numbers beyond this are no files that a shell gave: 1,024 is where most limits end. */
const MOST = 1_024;

/**
 * Starts a program, which gets the listed files alone.
 *
 * @returns its process. One that could not be started has no pid, and says so by an event
 * @throws a Node error, as `spawn` does
 */
export function startApart(
  program: string,
  words: readonly string[],
  { stdio = PIPES, ...options }: ApartOptions,
): ChildProcess {
  const inherited = inheritedDescriptors(stdio.length).filter((descriptor) => descriptor < MOST);
  if (inherited.length === 0) return spawn(program, words, { ...options, stdio: [...stdio] });
  const nothing = openSync("/dev/null", "r+");
  try {
    const given: (GivenFile | number)[] = [...stdio];
    for (let number = stdio.length; number <= Math.max(...inherited); number += 1)
      given.push(inherited.includes(number) ? nothing : "ignore");
    return spawn(program, words, { ...options, stdio: given });
  } finally {
    closeSync(nothing);
  }
}
