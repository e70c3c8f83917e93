/** The runs of a root that this program holds: it makes and drives them. */
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { PlaceholderRun } from "../orchestrators/submission.ts";
import type { FoundPipeline } from "../engine/find-pipeline.ts";
import type { HeldRoot } from "../engine/held-root.ts";
import type { HeldRun } from "../engine/held-run.ts";
import type { LoadResult } from "../schedules/load-file.ts";
import { placeholderOf } from "../run/delegated-submission.ts";
import type { PlaceholderOptions } from "./open-root.ts";
import type { RootRuns } from "./root-runs.ts";

const BECAUSE = "asked for by a program that holds the root";

/** Makes and drives runs in this process. */
export class HeldRuns implements RootRuns {
  readonly #held: HeldRoot;

  constructor(held: HeldRoot) {
    this.#held = held;
  }

  get settings(): OrchdSettings {
    return this.#held.settings;
  }

  find(name: string): Promise<FoundPipeline> {
    return this.#held.find(name);
  }

  load(path: string): Promise<LoadResult> {
    return this.#held.load(path);
  }

  async placeholder(
    loaded: LoadedPipeline,
    { params, noCache }: PlaceholderOptions,
  ): Promise<PlaceholderRun> {
    const order = { params, noCache, because: BECAUSE, placeholder: true };
    const made = await this.#held.reserve(loaded, order);
    if (!made.ok) throw new Error(made.reason);
    return placeholderOf(made.run.state, false);
  }

  async submit(id: string): Promise<void> {
    const run = this.#unfinished(id);
    if (run.isStarted) throw new Error(`run ${id} was submitted already`);
    run.start("its program submitted it");
    await run.recorded;
  }

  async finished(id: string): Promise<void> {
    await this.#held.run(id)?.finished;
  }

  async stop(id: string, mode: "graceful" | "force"): Promise<void> {
    const answer = await this.#unfinished(id).requestStop({ mode, by: "program" });
    if (!answer.accepted) throw new Error(answer.reason);
  }

  close(mode: "graceful" | "force"): Promise<void> {
    return this.#held.close(mode);
  }

  #unfinished(id: string): HeldRun {
    const run = this.#held.run(id);
    if (run === undefined) throw new Error(`run ${id} has finished already`);
    return run;
  }
}
