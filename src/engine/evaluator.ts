/**
 * Runners for a process that only reads pipeline files: the command line, and a program beside a
 * daemon. As in the daemon, a file in code is evaluated in a runner, and never in this process.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../clock.ts";
import type { LoadedDefinition } from "../core/loaded-definition.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { Fault } from "../core/fault.ts";
import type { CodeRef, OrchestratorRef, Snapshot } from "../core/snapshot.ts";
import { Flavors, type Flavor } from "../orchestrators/flavors.ts";
import { evaluateCode } from "../places/evaluate-code.ts";
import { builtProgram } from "../disk/built-program.ts";
import { forkRunner } from "../places/local/runner-child.ts";
import { RunnerPool } from "../places/pool/runner-pool.ts";

/** What evaluating needs. */
export interface EvaluatorOptions {
  readonly root: string;
  readonly bundlesDir: string;
  readonly settings: OrchdSettings;
}

/** Evaluates code files. The first one starts the runner. */
export class Evaluator {
  readonly #options: EvaluatorOptions;
  #pool: RunnerPool | undefined;
  #flavors: Flavors | undefined;
  #scratch: string | undefined;
  #count = 0;

  constructor(options: EvaluatorOptions) {
    this.#options = options;
  }

  /**
   * What a code file exports by default, described.
   *
   * @throws what the code threw, or why its runner died
   */
  async evaluate(code: CodeRef): Promise<LoadedDefinition> {
    const pool = await this.#start();
    this.#count += 1;
    return evaluateCode(pool, `load#${this.#count}`, code);
  }

  /**
   * Why the orchestrator that a pipeline names cannot take it. Undefined if it can. The local one
   * takes everything and is not asked, and neither is a place.
   */
  async refuses(snapshot: Snapshot, scheduled: boolean): Promise<Fault | undefined> {
    if (isLocal(snapshot)) return undefined;
    return (await this.#orchestrators()).refuses(snapshot, scheduled);
  }

  /** The environment of the stack that a pipeline runs on, once its orchestrator took it. */
  async stackEnv(snapshot: Snapshot): Promise<Snapshot["stackEnv"]> {
    if (isLocal(snapshot)) return undefined;
    return (await this.#orchestrators()).stackEnv(snapshot);
  }

  /** An orchestrator that a pipeline names. @throws SubmissionRefused if it cannot be used */
  async flavor(ref: OrchestratorRef): Promise<Flavor> {
    return (await this.#orchestrators()).resolve(ref);
  }

  /** Ends the runner, if one was started. */
  async close(): Promise<void> {
    await this.#pool?.close();
    if (this.#scratch !== undefined) await rm(this.#scratch, { recursive: true, force: true });
  }

  async #orchestrators(): Promise<Flavors> {
    this.#flavors ??= new Flavors({
      place: await this.#start(),
      orchestrators: this.#options.settings.orchestrators,
    });
    return this.#flavors;
  }

  async #start(): Promise<RunnerPool> {
    if (this.#pool !== undefined) return this.#pool;
    // A person who waits is told at once; a daemon's runner would wait.
    builtProgram("runner");
    // Not the daemon's scratch folder: a runner empties its scratch folder.
    this.#scratch = await mkdtemp(join(tmpdir(), "orchd-evaluate-"));
    const { bundlesDir, settings } = this.#options;
    const { memoryMb } = settings.runner;
    this.#pool ??= new RunnerPool({
      clock: systemClock,
      launch: forkRunner,
      settings: {
        threads: 1,
        bundles: bundlesDir,
        scratch: this.#scratch,
        token: `cli-${randomBytes(8).toString("hex")}`,
        memoryMb,
      },
    });
    return this.#pool;
  }
}

function isLocal({ orchestrator }: Snapshot): boolean {
  return (
    orchestrator === undefined ||
    orchestrator.place === true ||
    (orchestrator.flavor === "local" && orchestrator.code === undefined)
  );
}
