/**
 * What a run-loop needs from the rest of the daemon, as ports: the real ones are RunStore,
 * Artifacts, CacheIndex and Flavors; a test gives what it likes.
 */
import type { LineListener } from "../core/durable-line.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Artifacts } from "../ledger/artifacts.ts";
import type { CacheIndex } from "../ledger/cache-index.ts";
import type { LedgerHost } from "../ledger/ledger-host.ts";
import type { RunStore } from "../ledger/run-store.ts";
import type { Log } from "../log.ts";
import type { Flavors } from "../orchestrators/flavors.ts";
import type { Place } from "../places/place.ts";
import type { SecretSource } from "./secrets.ts";

/** Which results have which key: `CacheIndex`. */
export type CacheIndexPort = Pick<CacheIndex, "recordAll" | "lookup">;

/** What every run-loop of one daemon is given. */
export interface RunDeps extends LedgerHost {
  readonly runStore: RunStore;
  readonly cacheIndex: CacheIndexPort;
  readonly artifacts: Artifacts;
  /** Where steps run, whichever orchestrator says that they do. */
  readonly place: Place;
  readonly orchestrators: Flavors;
  readonly settings: OrchdSettings;
  readonly log: Log;
  /** Told the durable lines of every run. */
  readonly onDurableLine?: LineListener | undefined;
  /** Where `{secret: NAME}` comes from; default: `$CREDENTIALS_DIRECTORY`. */
  readonly secrets?: SecretSource | undefined;
  /** The daemon's environment; default: `process.env`. Read, never written. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /**
   * The newest run of a pipeline but for one, to say what changed since; default: looked up in the
   * runs folder.
   */
  readonly previousRun?: ((pipeline: string, except: string) => string | undefined) | undefined;
}
