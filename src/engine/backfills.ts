/**
 * Backfills make runs for past slots, a few at a time, oldest first. They change no decision
 * (semantics.md 2): a slot that was missed stays missed, and gets a `slot.backfilled` line as well.
 * A slot to come gets no run: a backfill ends at the moment when it is accepted.
 *
 * A backfill is a line in its pipeline's ledger (`backfill.started`), until a second line ends it.
 * So it goes on after a crash: it goes over its slots again, and passes over each slot that has a
 * run with its request's id. It keeps nothing else.
 *
 * Whether a slot needs a run is asked at its turn, which may come hours after the plan: by then
 * another backfill or a person may have run it.
 *
 * A backfill waits for room under its own limit, for a version of its pipeline in force, and for a
 * trouble to pass. Each of these wakes it: a run's end, a version that comes into force, and after
 * a trouble a timer. Its slots are those of the version that was in force when it was accepted;
 * after a restart, those of the first version that is in force again.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../clock.ts";
import { MOST_BACKFILL_SLOTS, whyNoBackfill } from "../core/backfill-bounds.ts";
import { countText } from "../core/counted.ts";
import { defined } from "../core/defined.ts";
import type { PipelineEvent } from "../core/event.ts";
import type { Backfill as Accepted } from "../core/pipeline-state.ts";
import { refused, type Reply, type Request } from "../core/request.ts";
import { parseRunId, runIdForSlot } from "../core/run-id.ts";
import { timetable, type DueSlot } from "../core/schedule/schedule.ts";
import type { Json } from "../core/snapshot.ts";
import { iso } from "../core/time.ts";
import { LedgerClosed, LedgerExists } from "../ledger/ledger-error.ts";
import { readHeaderLine } from "../ledger/header-line.ts";
import { newestRun } from "../ledger/newest-run.ts";
import type { RunStore } from "../ledger/run-store.ts";
import { readRunState } from "./adopted-run.ts";
import type { ActiveRuns } from "./active-runs.ts";
import type { PipelineDesk } from "./pipeline-desk.ts";
import type { Log } from "../log.ts";
import type { TakenRequest } from "./request-inbox.ts";
import { runHeader } from "./run-header.ts";

/** How long a backfill that met a trouble waits until it is tried again, in milliseconds. */
const AGAIN_MS = 60_000;

type BackfillRequest = Extract<Request, { type: "backfill" }>;

/** What backfills need. */
export interface BackfillPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: RunStore;
  readonly runs: ActiveRuns;
}

interface Backfill {
  readonly desk: PipelineDesk;
  readonly id: string;
  readonly which: string;
  readonly maxActive: number;
  readonly params: { readonly [key: string]: Json };
  /** Gives the slots, once a version is in force. */
  readonly plan: () => readonly DueSlot[];
  slots: readonly DueSlot[] | undefined;
  /** The runs that its slots had when they were planned, by the run id of the slot itself. */
  history: ReadonlyMap<string, readonly string[]>;
  next: number;
  made: number;
  cancelled: string | undefined;
  busy: boolean;
  /** It was taken over, and makes no run before {@link Backfills.resume}. */
  held: boolean;
}

/** The backfills that are not over, of all pipelines. */
export class Backfills {
  readonly #ports: BackfillPorts;
  readonly #open = new Map<string, Backfill>();
  /** Wakes a backfill that met a trouble, by its id. */
  readonly #timers = new Map<string, Timer>();
  #stopped = false;

  constructor(ports: BackfillPorts) {
    this.#ports = ports;
  }

  /** Accepts a backfill and makes its first runs. */
  async begin(desk: PipelineDesk, taken: TakenRequest, request: BackfillRequest): Promise<Reply> {
    const { id } = taken;
    if (this.#open.has(id) || desk.state.requests.has(id)) return { accepted: true };
    const now = this.#ports.clock.now();
    const from = Date.parse(request.from);
    const asked = Date.parse(request.to);
    if (asked < from)
      return refused(`the backfill ends before it begins: ${request.from} to ${request.to}`);
    if (from > now)
      return refused(`a backfill makes runs of past slots, and ${request.from} lies in the future`);
    const to = asked > now ? iso(now) : request.to;
    const slots = slotsOf(desk, from, Date.parse(to), request.schedule);
    const because = whyNoBackfill(desk.name, { from: request.from, to }, slots.length);
    if (because !== undefined) return refused(because);
    const accepted: Accepted = defined({
      requestId: id,
      from: request.from,
      to,
      which: request.which,
      maxActive: request.maxActive ?? 1,
      schedule: request.schedule,
      params: request.params,
    });
    await desk.append([{ type: "backfill.started", ...accepted, slots: slots.length }]);
    void this.#pump(this.#take(desk, accepted, () => slots));
    const reason =
      asked > now ? `its slots end at now, ${to}: ${request.to} lies in the future` : undefined;
    return defined({ accepted: true, reason, result: { slots: slots.length } });
  }

  /**
   * Takes over the backfills that a pipeline's ledger calls unfinished: a request may cancel one
   * before it goes on.
   */
  takeOver(desk: PipelineDesk): void {
    for (const accepted of desk.state.backfills.values()) {
      if (this.#open.has(accepted.requestId)) continue;
      const { from, to, schedule } = accepted;
      const plan = (): DueSlot[] => slotsOf(desk, Date.parse(from), Date.parse(to), schedule);
      this.#take(desk, accepted, plan).held = true;
    }
  }

  /** Goes on with the backfills that a pipeline's ledger calls unfinished. */
  resume(desk: PipelineDesk): void {
    this.takeOver(desk);
    for (const backfill of this.#open.values()) {
      if (backfill.desk !== desk || !backfill.held) continue;
      backfill.held = false;
      void this.#pump(backfill);
    }
  }

  /** Whether a backfill is not over. */
  has(id: string): boolean {
    return this.#open.has(id);
  }

  /** Ends a backfill. Its active runs go on. */
  async cancel(id: string, taken: TakenRequest): Promise<Reply> {
    const backfill = this.#open.get(id);
    if (backfill === undefined) return refused(`no backfill ${id} is going on`);
    backfill.cancelled = `cancelled by ${taken.by}`;
    await this.#end(backfill, backfill.cancelled, taken.id);
    return { accepted: true };
  }

  /** A run of this pipeline ended, or a version of it came into force: its backfills may go on. */
  poke(pipeline: string): void {
    for (const backfill of this.#open.values())
      if (backfill.desk.name === pipeline) void this.#pump(backfill);
  }

  /** Makes no more runs. The next daemon goes on with unfinished backfills. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
  }

  #take(desk: PipelineDesk, accepted: Accepted, plan: () => readonly DueSlot[]): Backfill {
    const backfill: Backfill = {
      desk,
      id: accepted.requestId,
      which: accepted.which,
      maxActive: accepted.maxActive ?? 1,
      params: accepted.params ?? {},
      plan,
      slots: undefined,
      history: new Map(),
      next: 0,
      made: 0,
      cancelled: undefined,
      busy: false,
      held: false,
    };
    this.#open.set(backfill.id, backfill);
    return backfill;
  }

  /** Makes runs while there is room for them. */
  async #pump(backfill: Backfill): Promise<void> {
    if (backfill.busy || backfill.held) return;
    backfill.busy = true;
    try {
      const { desk, id, maxActive } = backfill;
      while (!this.#stopped && backfill.cancelled === undefined && desk.loaded !== undefined) {
        const slots = this.#slotsOf(backfill);
        if (backfill.next >= slots.length) {
          if (this.#ports.runs.ofBackfill(desk.name, id) === 0)
            await this.#end(
              backfill,
              `${countText(slots.length, "slot was", "slots were")} gone over, ` +
                countText(backfill.made, "run was made", "runs were made"),
            );
          return;
        }
        if (this.#ports.runs.ofBackfill(desk.name, id) >= maxActive) return;
        const slot = slots[backfill.next]!;
        const made = await this.#make(backfill, slot);
        backfill.next += 1;
        // What a slot needs is read from disk: thousands in one turn would hold up other slots.
        if (!made) await nextTurn();
      }
    } catch (error) {
      if (!(error instanceof LedgerClosed)) this.#tryAgain(backfill, error);
    } finally {
      backfill.busy = false;
    }
  }

  #slotsOf(backfill: Backfill): readonly DueSlot[] {
    if (backfill.slots !== undefined) return backfill.slots;
    const slots = backfill.plan();
    backfill.history = this.#history(backfill.desk.name, slots);
    return (backfill.slots = slots);
  }

  #tryAgain({ desk: { name }, id }: Backfill, error: unknown): void {
    const { log, clock } = this.#ports;
    log.error(
      { pipeline: name, backfill: id, err: error },
      "a backfill cannot go on; it is tried again in a minute",
    );
    this.#timers.get(id)?.cancel();
    if (this.#stopped) return;
    this.#timers.set(
      id,
      clock.after(AGAIN_MS, () => {
        this.#timers.delete(id);
        const backfill = this.#open.get(id);
        if (backfill !== undefined) void this.#pump(backfill);
      }),
    );
  }

  /** Makes the slot's run, where it needs one. @returns whether it did so now */
  async #make(backfill: Backfill, slot: DueSlot): Promise<boolean> {
    const { desk, id, maxActive, params } = backfill;
    const { store } = this.#ports;
    const scheduledFor = iso(slot.slot);
    for (;;) {
      const need = this.#need(backfill, slot);
      if (need === "made") backfill.made += 1;
      if (need !== "run") return false;
      const run = store.nextBackfill(desk.name, slot.slot, slot.track);
      const { name } = slot.schedule;
      const made = runHeader(desk.loaded!, {
        run,
        trigger: defined({ kind: "backfill", scheduledFor, requestId: id, schedule: name }),
        params: { ...slot.schedule.params, ...params },
        because: `backfill ${id}`,
      });
      if (!made.ok) throw new Error(made.message);
      const backfilled: PipelineEvent = defined({
        type: "slot.backfilled",
        slot: scheduledFor,
        run,
        requestId: id,
        schedule: slot.track,
      });
      const ticket = {
        ...desk.queueTerms(),
        lane: `backfill ${id}`,
        limit: maxActive,
        run,
        kind: "backfill" as const,
        backfill: id,
        order: slot.slot,
      };
      try {
        await desk.makeRun(made.header, ticket, [backfilled]);
        backfill.made += 1;
        return true;
      } catch (error) {
        // Somebody else's run took the id meanwhile: the slot may need none any more.
        if (!(error instanceof LedgerExists)) throw error;
      }
    }
  }

  /** Whether the slot needs a run; `made`: this backfill has made it, before a restart perhaps. */
  #need({ desk, id, which, history }: Backfill, slot: DueSlot): "run" | "made" | "nothing" {
    const { store } = this.#ports;
    const isOwn = (run: string): boolean => {
      if (parseRunId(run)?.backfill === undefined) return false;
      const header = readHeaderLine(store.runLedger(run));
      return header?.type === "run.submitted" && header.trigger.requestId === id;
    };
    const planned = history.get(runIdForSlot(desk.name, slot.slot, slot.track)) ?? [];
    if (which === "missing" && planned.length > 0) return planned.some(isOwn) ? "made" : "nothing";
    const runs = store.slotRuns(planned, desk.name, slot.slot, slot.track);
    if (runs.some(isOwn)) return "made";
    if (which === "all") return "run";
    if (which === "missing") return runs.length === 0 ? "run" : "nothing";
    const newest = newestRun(store, runs);
    const status = newest === undefined ? undefined : readRunState(store, newest)?.finished?.status;
    return status === "failed" || status === "stopped" ? "run" : "nothing";
  }

  /** The runs of every slot, by the run id of the slot itself. It lists each month folder once. */
  #history(pipeline: string, slots: readonly DueSlot[]): Map<string, string[]> {
    const history = new Map<string, string[]>(
      slots.map((slot) => [runIdForSlot(pipeline, slot.slot, slot.track), []]),
    );
    for (const run of this.#ports.store.list(pipeline)) {
      const id = parseRunId(run);
      if (id === undefined) continue;
      history.get(id.suffix === "" ? run : run.slice(0, -id.suffix.length))?.push(run);
    }
    return history;
  }

  async #end(backfill: Backfill, because: string, requestId?: string): Promise<void> {
    this.#open.delete(backfill.id);
    const lines: PipelineEvent[] = [{ type: "backfill.finished", requestId: backfill.id, because }];
    if (requestId !== undefined)
      lines.push({ type: "request.noted", requestId, because: `it ended backfill ${backfill.id}` });
    await backfill.desk.append(lines);
  }
}

function slotsOf(
  desk: PipelineDesk,
  from: number,
  to: number,
  schedule: string | undefined,
): DueSlot[] {
  const schedules = desk.schedules
    .filter(({ name }) => schedule === undefined || name === schedule)
    .map((one) => ({ ...one, jitterSeconds: 0 }));
  return timetable(desk.name, schedules).dueSlots(from - 1, to, MOST_BACKFILL_SLOTS + 1);
}
