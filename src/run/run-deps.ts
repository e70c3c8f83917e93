/**
 * What a run-loop needs from the rest of the daemon, as ports. The real ones are RunStore,
 * Artifacts, CacheIndex, RunnerPool and Flavors. A test provides its own.
 */
import type { LineListener } from "../core/durable-line.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Artifacts } from "../ledger/artifacts.ts";
import type { CacheIndex } from "../ledger/cache-index.ts";
import type { LedgerHost } from "../ledger/ledger-host.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { ValueThread } from "../ledger/value-thread.ts";
import type { Log } from "../log.ts";
import type { Flavors } from "../orchestrators/flavors.ts";
import type { Place } from "../places/place.ts";
import type { SecretSource } from "../core/secret-source.ts";

/** Says which results have which key: `CacheIndex`. */
export type CacheIndexPort = Pick<CacheIndex, "recordAll" | "lookup" | "flush">;

/** Answers questions about large values without keeping the daemon waiting: `ValueThread`. */
export type ValuesPort = Pick<ValueThread, "ask">;

/** What each run-loop of one daemon is given. */
export interface RunDeps extends LedgerHost {
  readonly runStore: RunStore;
  readonly cacheIndex: CacheIndexPort;
  readonly artifacts: Artifacts;
  /** Default: large values are read like small ones. */
  readonly values?: ValuesPort | undefined;
  /** Where steps run, whatever their orchestrator. */
  readonly place: Place;
  readonly orchestrators: Flavors;
  readonly settings: OrchdSettings;
  readonly log: Log;
  /** Somebody touched a run's ledger, and it was mended: what happened, as a clause. */
  readonly onLedgerRestored?: ((run: string, because: string) => void) | undefined;
  /** Hears the durable lines of each run. */
  readonly onDurableLine?: LineListener | undefined;
  /** Where `{secret: NAME}` comes from. Default: `$CREDENTIALS_DIRECTORY`. */
  readonly secrets?: SecretSource | undefined;
  /** The daemon's environment. It is read, never written. Default: `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * The newest run of a pipeline except one, to say what changed since. Default: it is looked up in
   * the runs folder.
   */
  readonly previousRun?: ((pipeline: string, except: string) => string | undefined) | undefined;
}
