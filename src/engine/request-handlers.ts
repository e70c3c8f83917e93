/**
 * What each request does, and when it is refused (semantics.md 23). What a reply reports is durable
 * before the reply.
 *
 * A request that was there when the daemon started may have been carried out by an earlier daemon.
 * It would have left a line or a header with its id. The handlers look for that first; where they
 * find it, they only answer again. So they do where a request comes again under an id that this
 * daemon has answered, or that the pipeline's state still knows, whatever became of the reply.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { defined } from "../core/defined.ts";
import { didYouMean } from "../core/did-you-mean.ts";
import type { RunLine } from "../core/event.ts";
import { checkGivenParams } from "../core/given-params.ts";
import type { LoadedPipeline } from "../core/loaded-pipeline.ts";
import { refused, type Reply, type Request } from "../core/request.ts";
import { planRerun } from "../core/rerun.ts";
import { manualRunId, parseRunId } from "../core/run-id.ts";
import { bundlesOf } from "../core/snapshot-bundles.ts";
import { messageOf } from "../core/thrown.ts";
import { iso } from "../core/time.ts";
import { LedgerClosed, LedgerExists, LedgerFailed } from "../ledger/ledger-error.ts";
import { readTail } from "../ledger/ledger-reader.ts";
import { readHeaderLine } from "../ledger/header-line.ts";
import type { FoldedRun } from "../ledger/folded-run.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readRunState } from "./adopted-run.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { Backfills } from "./backfills.ts";
import { EarlierAnswers } from "./earlier-answers.ts";
import { EarlierTraces } from "./earlier-traces.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";
import type { Log } from "../log.ts";
import type { UpkeepRequest } from "./ports.ts";
import { movedSnapshot } from "./moved-root.ts";
import type { TakenRequest } from "./request-inbox.ts";
import { pipelineOf } from "./request-queue.ts";
import { frozenHeader, runHeader } from "./run-header.ts";

/** The version that a pipeline's file defines now, or why there is none. */
export type Refreshed =
  | { readonly ok: true; readonly loaded: LoadedPipeline; readonly desk: PipelineDesk }
  | { readonly ok: false; readonly reason: string };

/** What the handlers need. */
export interface HandlerPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: RunStore;
  readonly runs: ActiveRuns;
  readonly backfills: Backfills;
  /** Reads a pipeline's file again. */
  readonly refresh: (name: string) => Promise<Refreshed>;
  readonly find: (name: string) => PipelineDesk | undefined;
  readonly names: () => readonly string[];
  /** A run as its ledger says, with its long fields; undefined if it has no header. */
  readonly folded: (run: string) => Promise<FoldedRun | undefined>;
  readonly upkeep: (request: UpkeepRequest) => Promise<Reply>;
  /** Why nothing of a pipeline can be decided now, in a sentence; undefined: it can. */
  readonly setAside: (pipeline: string) => string | undefined;
}

type Of<T extends Request["type"]> = Extract<Request, { type: T }>;

/** Carries out requests, one method for each type. */
export class RequestHandlers {
  readonly #ports: HandlerPorts;
  readonly #traces: EarlierTraces;
  readonly #answers = new EarlierAnswers();

  constructor(ports: HandlerPorts) {
    this.#ports = ports;
    this.#traces = new EarlierTraces(ports.store);
  }

  /** No request is left that an earlier daemon may have carried out. */
  nothingLeft(): void {
    this.#traces.forget();
  }

  /**
   * Carries a request out.
   *
   * @throws LedgerFailed, LedgerClosed: nothing may be acknowledged any more, and the request stays
   */
  async carryOut(taken: TakenRequest): Promise<Reply> {
    try {
      const known = this.#answers.to(taken.id);
      if (known !== undefined) return known;
      const reply = await this.#carryOut(taken);
      this.#answers.note(taken.id, taken.request, reply);
      return reply;
    } catch (error) {
      if (error instanceof LedgerFailed || error instanceof LedgerClosed) throw error;
      this.#ports.log.error({ request: taken.id, err: error }, "a request failed");
      return refused(messageOf(error));
    }
  }

  async #carryOut(taken: TakenRequest): Promise<Reply> {
    const { request, late } = taken;
    const before = await this.#doneBefore(taken);
    if (before !== undefined) return before;
    if (late !== undefined) return refused(late);
    const pipeline = "pipeline" in request ? request.pipeline : undefined;
    const aside = pipeline === undefined ? undefined : this.#ports.setAside(pipeline);
    if (aside !== undefined) return refused(`pipeline ${pipeline!} is set aside: ${aside}`);
    switch (request.type) {
      case "submit":
        return this.#submit(taken, request);
      case "stop":
        return this.#stop(taken, request);
      case "pause":
      case "resume":
        return this.#pause(taken, request);
      case "silence":
        return this.#silence(taken, request);
      case "rerun":
        return this.#rerun(taken, request);
      case "backfill":
        return this.#backfill(taken, request);
      case "cancel_backfill":
        return this.#cancelBackfill(taken, request);
      case "prune":
      case "repair":
      case "rebuild":
        return this.#ports.upkeep(request);
    }
  }

  /**
   * The reply to a request that was carried out before, by an earlier daemon as a rule; undefined
   * where it left no trace. What comes while this daemon lives is looked for in memory first: a
   * pipeline remembers the ids of its newest requests.
   */
  async #doneBefore(taken: TakenRequest): Promise<Reply | undefined> {
    if (taken.left) return this.#tracesOf(taken, this.#traces);
    const { id, request } = taken;
    const pipeline = pipelineOf(request);
    if (pipeline === undefined || this.#ports.find(pipeline)?.state.requests.has(id) !== true)
      return undefined;
    // The traces that were read for the requests that were left are older than this one's.
    const traces = new EarlierTraces(this.#ports.store);
    const because = `a request with the id ${id} was carried out before`;
    return (await this.#tracesOf(taken, traces)) ?? { accepted: true, reason: because };
  }

  async #tracesOf(taken: TakenRequest, traces: EarlierTraces): Promise<Reply | undefined> {
    const { request } = taken;
    switch (request.type) {
      case "submit":
        return made(await traces.runBy(taken.id, request.pipeline));
      case "rerun":
        return made(await traces.rerunBy(taken.id, request.run));
      case "stop":
        return traces.hasStop(taken.id, request.run)
          ? { accepted: true, run: request.run }
          : undefined;
      case "pause":
      case "resume":
      case "silence":
      case "backfill":
        return this.#ports.find(request.pipeline)?.state.requests.has(taken.id) === true
          ? { accepted: true }
          : undefined;
      case "cancel_backfill":
        return this.#ports
          .names()
          .some((name) => this.#ports.find(name)!.state.requests.has(taken.id))
          ? { accepted: true }
          : undefined;
      case "prune":
      case "repair":
      case "rebuild":
        // Done again, these find nothing left to do.
        return undefined;
    }
  }

  async #submit(taken: TakenRequest, request: Of<"submit">): Promise<Reply> {
    const { clock, store, runs } = this.#ports;
    const fresh = await this.#ports.refresh(request.pipeline);
    if (!fresh.ok) return refused(fresh.reason);
    const { desk, loaded } = fresh;
    const { digest } = request;
    if (digest !== undefined && digest !== loaded.digest)
      return refused(
        `version ${digest.slice(0, 12)} of pipeline ${loaded.name} was asked for, and its file ` +
          `${loaded.file} is version ${loaded.digest.slice(0, 12)} now`,
      );
    const params = checkGivenParams(loaded, request.params);
    if (!params.ok) return refused(params.message);
    const wanted = request.run === undefined ? undefined : this.#wantedId(taken, request.run);
    if (wanted?.reply !== undefined) return wanted.reply;
    for (let stamp = wanted?.stamp ?? clock.now(); ; stamp += 1) {
      const run = manualRunId(request.pipeline, stamp);
      if (run !== (request.run ?? run)) return isTaken(request.run!);
      if (runs.get(run) !== undefined || store.exists(run)) continue;
      const made = runHeader(loaded, {
        run,
        trigger: defined({
          kind: "manual",
          requestId: taken.id,
          noCache: request.noCache === true || undefined,
        }),
        params: request.params,
        because: `asked for by ${taken.by}`,
      });
      if (!made.ok) return refused(made.message);
      const ticket = { ...desk.queueTerms(), run, kind: "manual" as const, order: stamp };
      try {
        await desk.makeRun(made.header, ticket);
      } catch (error) {
        if (error instanceof LedgerExists) continue;
        throw error;
      }
      const reply = this.#made(run);
      return params.remark === undefined ? reply : { ...reply, reason: params.remark };
    }
  }

  /**
   * The moment in the id that a submit asks for; or the reply, where this very request has made the
   * run, or where no such run can have the id.
   */
  #wantedId(
    taken: TakenRequest,
    run: string,
  ): { readonly stamp: number; readonly reply?: undefined } | { readonly reply: Reply } {
    const id = parseRunId(run)!;
    const { pipeline } = taken.request as Of<"submit">;
    if (id.pipeline !== pipeline || !id.manual || id.rerun !== undefined)
      return { reply: refused(`${run} is no id of a run of ${pipeline} by hand`) };
    if (!this.#ports.store.exists(run)) return { stamp: id.stampMs };
    const header = readHeaderLine(this.#ports.store.runLedger(run));
    const isOwn = header?.type === "run.submitted" && header.trigger.requestId === taken.id;
    return { reply: isOwn ? this.#made(run) : isTaken(run) };
  }

  async #stop(taken: TakenRequest, request: Of<"stop">): Promise<Reply> {
    const { run, mode } = request;
    const entry = this.#ports.runs.get(run);
    if (entry === undefined) {
      const status = statusOfFinished(this.#ports.store, run);
      if (status !== undefined)
        return { ...refused(`run ${run} has finished already: ${status}`), run };
      const state = readRunState(this.#ports.store, run);
      if (state === undefined) return { ...refused(`there is no run ${run}`), run };
      return {
        ...refused(
          `run ${run} is not driven by this daemon: its ledger could not be taken over; ` +
            "see the daemon's log",
        ),
        run,
      };
    }
    const answer = await this.#ports.runs.stop(run, { mode, by: taken.by, requestId: taken.id });
    return answer.accepted ? { accepted: true, run } : { ...refused(answer.reason), run };
  }

  async #pause(taken: TakenRequest, request: Of<"pause"> | Of<"resume">): Promise<Reply> {
    const desk = this.#desk(request.pipeline);
    if (desk === undefined) return this.#unknown(request.pipeline);
    const changed = await desk.setPaused(request.type === "pause", {
      requestId: taken.id,
      by: taken.by,
    });
    if (changed) return { accepted: true };
    return {
      accepted: true,
      reason: request.type === "pause" ? "it was paused already" : "it was not paused",
    };
  }

  async #silence(taken: TakenRequest, request: Of<"silence">): Promise<Reply> {
    const desk = this.#desk(request.pipeline);
    if (desk === undefined) return this.#unknown(request.pipeline);
    const until = request.until === null ? null : iso(Date.parse(request.until));
    if (until !== null && Date.parse(until) <= this.#ports.clock.now())
      return refused(`until: ${until} has passed; name a time that comes`);
    const { id: requestId, by } = taken;
    const changed = await desk.setSilence(until, {
      requestId,
      by,
      ...defined({ because: request.because }),
    });
    return changed ? { accepted: true } : { accepted: true, reason: "it was not silent" };
  }

  async #rerun(taken: TakenRequest, request: Of<"rerun">): Promise<Reply> {
    const { store } = this.#ports;
    const id = parseRunId(request.run)!;
    const folded = store.exists(request.run) ? await this.#ports.folded(request.run) : undefined;
    if (folded === undefined) return refused(`there is no run ${request.run}`);
    const { header, state } = folded;
    if (state.finished === undefined)
      return refused(`run ${request.run} has not finished; stop it first, or wait for its end`);
    const desk = this.#desk(id.pipeline);
    if (desk === undefined) return this.#unknown(id.pipeline);
    let of: Parameters<typeof frozenHeader>[0] = {
      ...header,
      snapshot: movedSnapshot(header.snapshot, desk.loaded?.file, store.bundles),
    };
    if (request.edited === true) {
      const fresh = await this.#ports.refresh(id.pipeline);
      if (!fresh.ok) return refused(fresh.reason);
      const edited = runHeader(fresh.loaded, {
        run: request.run,
        trigger: header.trigger,
        params: header.params,
        because: "",
      });
      if (!edited.ok) return refused(edited.message);
      of = edited.header;
    }
    const missing = [...bundlesOf(of.snapshot)].find(
      (sha) => !existsSync(join(store.bundles, `${sha}.mjs`)),
    );
    if (missing !== undefined)
      return refused(
        `the code that run ${request.run} ran was pruned (bundle ${missing.slice(0, 12)}); ` +
          "use --edited to run the pipeline file as it is now",
      );
    const planned = planRerun(state, of.snapshot, request);
    if (!planned.ok) return refused(planned.reason);
    for (;;) {
      const run = store.nextRerun(request.run);
      const { scheduledFor, schedule } = header.trigger;
      const trigger = defined({
        kind: "rerun",
        of: request.run,
        from: request.from,
        requestId: taken.id,
        scheduledFor,
        schedule,
      });
      const made = frozenHeader(of, {
        run,
        trigger,
        because: `a re-run of ${request.run}, asked for by ${taken.by}`,
      });
      try {
        await desk.makeRun(
          { ...made, reuse: planned.reuse },
          { ...desk.queueTerms(), run, kind: "rerun", order: this.#ports.clock.now() },
        );
      } catch (error) {
        if (error instanceof LedgerExists) continue;
        throw error;
      }
      return this.#made(run);
    }
  }

  async #backfill(taken: TakenRequest, request: Of<"backfill">): Promise<Reply> {
    const fresh = await this.#ports.refresh(request.pipeline);
    if (!fresh.ok) return refused(fresh.reason);
    const params = checkGivenParams(fresh.loaded, request.params);
    if (!params.ok) return refused(params.message);
    const reply = await this.#ports.backfills.begin(fresh.desk, taken, request);
    return params.remark === undefined || reply.reason !== undefined
      ? reply
      : { ...reply, reason: params.remark };
  }

  async #cancelBackfill(taken: TakenRequest, request: Of<"cancel_backfill">): Promise<Reply> {
    return this.#ports.backfills.cancel(request.id, taken);
  }

  #made(run: string): Reply {
    const entry = this.#ports.runs.get(run);
    const waits = entry !== undefined && !entry.going;
    return defined({
      accepted: true,
      run,
      reason: waits ? `it waits: ${entry.because}` : undefined,
      result: entry?.handle?.isSynchronous === true ? { synchronous: true } : undefined,
    });
  }

  #desk(name: string): PipelineDesk | undefined {
    const desk = this.#ports.find(name);
    return desk === undefined || desk.state.removed ? undefined : desk;
  }

  #unknown(name: string): Reply {
    const known = this.#ports.names().filter((one) => this.#desk(one) !== undefined);
    return refused(`there is no pipeline ${JSON.stringify(name)}${didYouMean(name, known)}`);
  }
}

function isTaken(run: string): Reply {
  return refused(`there is a run ${run} already`);
}

function made(run: string | undefined): Reply | undefined {
  return run === undefined ? undefined : { accepted: true, run };
}

/**
 * How a run ended; undefined if it has not, or has no ledger. Only the end of the ledger is read:
 * it may be long, and many may ask.
 */
function statusOfFinished(store: RunStore, run: string): string | undefined {
  if (!store.exists(run)) return undefined;
  const { lines, end } = readTail<RunLine>(store.runLedger(run), () => true);
  const last = lines.at(-1);
  return end === "whole" && last?.type === "run.finished" ? last.status : undefined;
}
