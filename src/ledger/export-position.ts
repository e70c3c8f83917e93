/**
 * How far `orchd export otlp` has come: `.orchd/otlp.json`, a position of the feed. All lines
 * before it are at the collector. It is no ledger: only the newest position counts, so each
 * replaces the one before in one rename. What it holds can be had again from the ledgers.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { iso } from "../core/time.ts";
import { writeFileAtomically } from "../disk/atomic-file.ts";
import { errorCode } from "../disk/disk-error.ts";
import { makeFolder } from "../disk/make-folder.ts";
import { takeProgramLock, type ProgramLock } from "./program-lock.ts";
import type { RunStore } from "./run-store.ts";

const FORMAT = 1;

/** What the file says. */
export type StoredPosition =
  | { readonly kind: "none" }
  | { readonly kind: "position"; readonly position: string }
  /** Somebody touched it. */
  | { readonly kind: "unusable" };

/** Reads the position. @throws a Node error where the file is there and cannot be read */
export function readExportPosition(store: RunStore): StoredPosition {
  let text: string;
  try {
    text = readFileSync(pathOf(store), "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { kind: "none" };
    throw error;
  }
  try {
    const { format, position } = JSON.parse(text) as Record<string, unknown>;
    if (format === FORMAT && typeof position === "string") return { kind: "position", position };
  } catch {
    // It is no JSON.
  }
  return { kind: "unusable" };
}

/** Makes a position durable. @throws a Node error; the one before then stays */
export async function keepExportPosition(
  store: RunStore,
  position: string,
  clock: Clock,
): Promise<void> {
  const text = JSON.stringify({ format: FORMAT, at: iso(clock.now()), position });
  await writeFileAtomically(pathOf(store), `${text}\n`);
}

/** Takes the lock of the one process that exports, or says who has it. @throws a Node error */
export function takeExportLock(
  store: RunStore,
  needs: { readonly clock: Clock; readonly version: string },
):
  | { readonly ok: true; readonly lock: ProgramLock }
  | { readonly ok: false; readonly because: string } {
  makeFolder(store.orchdDir);
  const taken = takeProgramLock(join(store.orchdDir, "otlp.lock"), needs);
  if (taken.ok) return taken;
  const because =
    `orchd export otlp runs already for ${store.runsDir}: ${taken.holder}. Stop it first. Where ` +
    "orchd.yaml has `telemetry`, the daemon runs it.";
  return { ok: false, because };
}

function pathOf(store: RunStore): string {
  return join(store.orchdDir, "otlp.json");
}
