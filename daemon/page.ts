/** Wires the page: its options, its address and its end. It holds no logic. */
import { dirname, join, resolve } from "node:path";
import type { PageOptions } from "../src/cli/command.ts";
import { systemClock } from "../src/clock.ts";
import { readListenAddress } from "../src/core/listen-address.ts";
import { builtProgram } from "../src/disk/built-program.ts";
import { requireDescriptors } from "../src/disk/descriptors.ts";
import { RunStore } from "../src/ledger/run-store.ts";
import { latePart } from "../src/page/server/late-part.ts";
import { startPage } from "../src/page/server/page-server.ts";
import { PAGE_TOKEN_VARIABLE } from "../src/supervise/page-program.ts";
import { onParentGone } from "../src/supervise/parent-gone.ts";

/** No part of it is `.` or `..`: a browser takes those out of an address. */
const BASE = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+)+$/;

const settingsFile = latePart(() => import("../src/schedules/settings-file.ts"));

/**
 * Runs the page until it is told to end. @returns the exit status: 0 after that, 1 where it could
 * not start, 2 where it was asked for wrongly
 */
export async function runPage(options: PageOptions): Promise<number> {
  const refuse = (sentence: string, status: number): number => {
    options.tell(sentence);
    return status;
  };
  const socket = join(new RunStore(options.runs).orchdDir, "page.sock");
  const read = readListenAddress(options.listen ?? `unix:${socket}`);
  if (!read.ok) return refuse(`--listen: ${read.because}.`, 2);
  const base = options.base === undefined || options.base === "/" ? "" : options.base;
  if (base !== "" && !BASE.test(base))
    return refuse(`--base: ${JSON.stringify(base)} is no path; write it like /orchd.`, 2);
  const { address } = read;
  const started = await startPage({
    ...options,
    listen: address.kind === "unix" ? { ...address, path: resolve(address.path) } : address,
    base,
    token: process.env[PAGE_TOKEN_VARIABLE],
    assets: join(dirname(dirname(builtProgram("daemon"))), "page"),
    now: () => systemClock.now(),
    // The parser of orchd.yaml is loaded for the first price or alerts, and not for the start.
    cacheSettings: async () =>
      (await settingsFile(requireDescriptors)).readCacheSettings(options.root),
    notifySetup: async () => (await settingsFile(requireDescriptors)).readNotifySetup(options.root),
    beforeLoad: requireDescriptors,
  });
  if (!started.ok) return refuse(started.because, started.exitCode);
  const { page } = started;
  const { url, token } = page;
  if (page.remark !== undefined) options.tell(page.remark);
  const ended = new Promise<void>((end) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => end());
    onParentGone(end);
  });
  options.serves({ url, socket: page.socket, token });
  await ended;
  await page.close();
  return 0;
}
