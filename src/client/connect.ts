/** Finds a root for a program. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { shellWord } from "../core/shell-word.ts";
import { Client } from "./client.ts";
import { ClientError } from "./client-error.ts";

/** Where a root's folders are, and who asks. */
export interface ConnectOptions {
  /** The drop folder. Default: `schedules` in the root. */
  readonly schedules?: string | undefined;
  /** The ledgers. Default: `runs` in the root. */
  readonly runs?: string | undefined;
  /** Which program asks: a remark in its requests. Default: `client`. */
  readonly by?: string | undefined;
}

/**
 * A root, for reading what happened and for asking the daemon, up or down.
 *
 * ```ts
 * import { connect } from "orchd/client";
 *
 * const client = await connect("/var/lib/orchd");
 * const { run } = await client.submit("etl", { params: { day: "2026-11-28" } });
 * if (typeof run === "string") console.log((await client.finished(run)).status);
 * ```
 *
 * @throws ClientError (`unknown`) where the root is no folder
 */
export async function connect(root: string, options: ConnectOptions = {}): Promise<Client> {
  if (typeof root !== "string" || root === "")
    throw new ClientError("usage", "connect() takes the path of a root: the folder of orchd.yaml.");
  const at = resolve(root);
  if (statSync(at, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new ClientError(
      "unknown",
      `the root ${at} is no folder; \`orchd init ${shellWord(at)}\` makes one.`,
    );
  const roots = {
    root: at,
    schedules: resolve(options.schedules ?? resolve(at, "schedules")),
    runs: resolve(options.runs ?? resolve(at, "runs")),
  };
  return new Client(roots, options.by ?? "client");
}
