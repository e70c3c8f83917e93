import { zoneWarning } from "../core/schedule/zone-name.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Log } from "../log.ts";
import { loadSettings } from "../schedules/load-settings.ts";
import { formatProblem, type Problem } from "../schedules/problem.ts";

/** The settings in force: orchd.yaml as it was read at the start, or again since then. */
export class LiveSettings {
  readonly #root: string;
  readonly #bundlesDir: string;
  readonly #log: Log;
  #current: OrchdSettings;
  /** Resolves when every reload so far is done. */
  #reloaded: Promise<void> = Promise.resolve();

  constructor(
    current: OrchdSettings,
    options: {
      readonly root: string;
      readonly bundlesDir: string;
      readonly log: Log;
      readonly problems: readonly Problem[];
    },
  ) {
    this.#current = current;
    this.#root = options.root;
    this.#bundlesDir = options.bundlesDir;
    this.#log = options.log;
    this.#warn(options.problems);
  }

  /** The settings in force. */
  get current(): OrchdSettings {
    return this.#current;
  }

  /**
   * Reads orchd.yaml again. A bad file is logged, and changes nothing. One at a time: the text that
   * was read last is in force in the end, everywhere.
   *
   * @param apply puts the new settings in force elsewhere
   */
  reload(apply: (settings: OrchdSettings) => Promise<void>): Promise<void> {
    const reloaded = this.#reloaded.then(() => this.#reload(apply));
    this.#reloaded = reloaded.catch(() => undefined);
    return reloaded;
  }

  async #reload(apply: (settings: OrchdSettings) => Promise<void>): Promise<void> {
    const again = await loadSettings(this.#root, this.#bundlesDir, { modules: "later" });
    if (!again.ok) {
      for (const problem of again.errors)
        this.#log.error({}, `${formatProblem(problem)}; the settings that were in force stay`);
      return;
    }
    this.#current = again.settings;
    this.#warn(again.problems);
    await apply(again.settings);
    this.#log.info({}, "orchd.yaml was read again");
  }

  #warn(problems: readonly Problem[]): void {
    for (const problem of problems)
      this.#log.error(
        {},
        `${formatProblem(problem)}; the pipelines that name it keep their last good version`,
      );
    const warning = zoneWarning(this.#current.timezone, Date.now());
    if (warning !== undefined) this.#log.warn({}, `orchd.yaml: ${warning}`);
  }
}
