/**
 * A pipeline's own ledger, and the pipeline's state, which is its fold (core/pipeline-fold.ts).
 *
 * - `state` holds durable lines only. It changes after each sync, before a caller that waits for
 *   the lines goes on.
 * - A checkpoint stands after line 1 of a new file and every 64 lines; readers may count on every
 *   256 (semantics.md 6). Opening reads no further back than the last one. A checkpoint is the last
 *   line of the write that makes it due.
 *   It is made from a copy of the state that has that write's lines too: no line may stand between
 *   what a checkpoint says and the checkpoint.
 * - At 16 MiB the file is renamed `pipeline-DATE.jsonl`, and a new one begins. Its first two lines
 *   hold all that is known.
 * - A damaged file is kept as `pipeline.jsonl.damaged-N`, and a new one begins with what the good
 *   lines say (semantics.md 6).
 *
 * In both cases the new file takes the name in one rename: a whole `pipeline.jsonl` exists at every
 * moment.
 */
import { accessSync, constants, type Stats } from "node:fs";
import { dirname } from "node:path";
import type { LineListener } from "../core/durable-line.ts";
import type { PipelineEvent, PipelineLine } from "../core/event.ts";
import { LEDGER_FORMAT } from "../core/ledger-format.ts";
import { checkpointOf } from "../core/pipeline-checkpoint.ts";
import { evolvePipeline } from "../core/pipeline-fold.ts";
import { emptyPipelineState, type PipelineState } from "../core/pipeline-state.ts";
import { iso } from "../core/time.ts";
import { noteSynced } from "../disk/directories.ts";
import { systemDisk } from "../disk/disk.ts";
import { isPathFault, isThere, regularFile } from "../disk/path-fault.ts";
import { untilRoom } from "../disk/until-room.ts";
import { ownDamagedName, type KeptDamage } from "./damaged-name.ts";
import { FileChange } from "./file-change.ts";
import { LedgerBlocked, LedgerClosed, LedgerDamaged } from "./ledger-error.ts";
import { LedgerFile, type LedgerOptions } from "./ledger-file.ts";
import type { LedgerHost } from "./ledger-host.ts";
import { rotatedName } from "./ledger-names.ts";
import { readTail } from "./ledger-reader.ts";
import { MAX_LINE_BYTES } from "./line-limit.ts";
import { isAsLeft, type LedgerEnd, type LeftLedger } from "./left-ledgers.ts";
import { isRotatedLedger } from "./rotated-ledgers.ts";
import { RunStore } from "./run-store.ts";
import { shortened } from "./short-line.ts";

/**
 * How many lines from one checkpoint to the next: a start and `orchd status` read half of them in
 * every ledger, and a checkpoint is as long as ten to fifty lines
 * (docs/adr/0059-checkpoints-are-cheap-and-near.md).
 */
export const CHECKPOINT_LINES = 64;
const ROTATE_BYTES = 16 * 1_048_576;

/** What {@link PipelineLedger.open} needs. */
export interface PipelineLedgerOptions extends LedgerHost {
  /** Called with each durable line. */
  readonly onDurableLine?: LineListener | undefined;
  /** Somebody touched the file, and it was mended: what happened, as a clause. */
  readonly onRestored?: ((because: string) => void) | undefined;
  /** How many lines from one checkpoint to the next; default 64. */
  readonly checkpointLines?: number | undefined;
  /** How the daemon before this one left the ledger, where that is known. */
  readonly left?: LeftLedger | undefined;
  /** The length at which a new file begins, in bytes; default 16 MiB. */
  readonly rotateBytes?: number | undefined;
}

/** The damage that opening found. */
export interface PipelineDamage extends KeptDamage {
  /**
   * When the last good line was written; undefined if there is none. Runs that became active later
   * are found from their headers.
   */
  readonly lastAt: string | undefined;
}

/** The open ledger of one pipeline. It rotates and writes checkpoints by itself. */
export class PipelineLedger {
  /** The pipeline's name. */
  readonly pipeline: string;
  /** The file's path. */
  readonly path: string;
  /** The damage that opening found; undefined if none. */
  damage: PipelineDamage | undefined;
  /**
   * When the last line was written that was there when it was opened, ISO 8601; undefined if there
   * was none. The file's own time says nothing: opening writes the last lines again.
   */
  leftAt: string | undefined;
  /**
   * When the daemon before this one looked at it last, where nobody has touched it since: wall
   * time, in milliseconds.
   */
  untouchedSince: number | undefined;
  /** The time of the last durable line. */
  #lastAt: string | undefined;
  #state: PipelineState = emptyPipelineState();
  readonly #options: PipelineLedgerOptions;
  /** Gets the lines of a ledger that is being created, once they are durable. */
  #onCreated: ((lines: readonly PipelineLine[]) => void) | undefined;
  #file: LedgerFile<PipelineEvent> | undefined;
  readonly #change = new FileChange();
  #closed = false;
  /** A line came after it was closed. */
  #lacks = false;
  #rotateAt: number;

  private constructor(store: RunStore, pipeline: string, options: PipelineLedgerOptions) {
    this.pipeline = pipeline;
    this.path = store.pipelineLedger(pipeline);
    this.#options = options;
    this.#rotateAt = options.rotateBytes ?? ROTATE_BYTES;
  }

  /**
   * Opens a pipeline's ledger, and recovers it. If there is none, the first append creates it.
   *
   * @throws LedgerBlocked if its path is bad; LedgerFormatError if a newer release wrote it;
   *   LedgerFailed, after `onFatal`
   */
  static async open(
    runsDir: string,
    pipeline: string,
    options: PipelineLedgerOptions,
  ): Promise<PipelineLedger> {
    const ledger = new PipelineLedger(new RunStore(runsDir), pipeline, options);
    try {
      if (options.left !== undefined && ledger.#resume(options.left)) return ledger;
      if (!isUsable(ledger.path)) return ledger;
      // Folded while they are read: the lines of sixteen ledgers that wait for their syncs would
      // outlive a collection of garbage.
      const state = emptyPipelineState();
      const { file } = await LedgerFile.open<PipelineEvent>(ledger.path, {
        ...ledger.#fileOptions(),
        since: "pipeline.checkpoint",
        each: (line) => {
          evolvePipeline(state, line);
          ledger.leftAt = line.at;
        },
      });
      ledger.#state = state;
      ledger.#file = file;
      ledger.#lastAt = ledger.leftAt;
    } catch (error) {
      if (isPathFault(error)) throw asBlocked(ledger.path, error);
      if (!(error instanceof LedgerDamaged)) throw error;
      await ledger.#beginAfter(error);
    }
    return ledger;
  }

  /** The pipeline's state, as its durable lines say. It changes in place. */
  get state(): PipelineState {
    return this.#state;
  }

  /** The seq of the last durable line. */
  get lastSeq(): number {
    return this.#file?.lastSeq ?? 0;
  }

  /** The length of the durable lines, in bytes. */
  get size(): number {
    return this.#file?.size ?? 0;
  }

  /**
   * Appends events as one group. `state` has them when this returns.
   *
   * @returns the lines, once they are durable, without a checkpoint that was written with them
   * @throws LineTooLong, LedgerClosed, LedgerFailed
   */
  async append(events: readonly PipelineEvent[]): Promise<PipelineLine[]> {
    for (;;) {
      if (this.#closed) {
        this.#lacks = true;
        throw new LedgerClosed(this.path);
      }
      if (this.#change.underWay !== undefined) {
        await this.#change.underWay;
      } else if (this.#file === undefined) {
        if (events.length === 0) return [];
        return this.#create(events);
      } else if (this.#file.size >= this.#rotateAt && fits(checkpointOf(this.#state))) {
        await this.#change.make(() => this.#rotate());
      } else {
        return this.#file.append(events);
      }
    }
  }

  /** What it says at its end; undefined where a line is missing. Call it once it is closed. */
  get end(): LedgerEnd | undefined {
    const mark = this.#lacks ? undefined : this.#file?.wholeEnd;
    const lastAt = this.#lastAt;
    const { linesSinceCheckpoint } = this.#state;
    return mark === undefined || lastAt === undefined || this.damage !== undefined
      ? undefined
      : { mark, lastAt, linesSinceCheckpoint, checkpoint: checkpointOf(this.#state) };
  }

  /** Looks whether somebody touched the file, and mends it if so. Cheap. */
  look(): void {
    if (this.#change.underWay === undefined) this.#file?.look()?.catch(() => undefined);
  }

  /** Writes the lines that still wait, and closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#change.underWay;
    await this.#file?.close();
  }

  /** Goes on with the ledger as it was left, unread. @returns false if it has to be read */
  #resume(left: LeftLedger): boolean {
    const { mark, lastAt, checkpoint, at } = left;
    const isKnown = (stats: Stats): boolean => isAsLeft(this.path, stats, left);
    const file = LedgerFile.resume(this.path, mark, isKnown, this.#fileOptions());
    if (file === undefined) return false;
    evolvePipeline(this.#state, { seq: mark.seq, b: mark.batch, at: lastAt, ...checkpoint });
    this.#state.linesSinceCheckpoint = left.linesSinceCheckpoint;
    this.#file = file;
    this.#lastAt = lastAt;
    this.leftAt = lastAt;
    this.untouchedSince = at;
    noteSynced(this.#options.disk ?? systemDisk, dirname(this.path), at);
    return true;
  }

  #fileOptions(): LedgerOptions<PipelineEvent> {
    const { pipeline } = this;
    const { onDurableLine } = this.#options;
    // Named one by one: of a spread with more members, each ledger would have a shape of its own.
    const { clock, disk, onFatal, onHeld, onRestored } = this.#options;
    return {
      clock,
      disk,
      onFatal,
      onHeld,
      onRestored,
      locked: true,
      shorten: shortened,
      rebuild: () => firstLines(this.#state),
      onDurable: (lines) => {
        for (const line of lines) evolvePipeline(this.#state, line);
        this.#lastAt = lines.at(-1)?.at ?? this.#lastAt;
        this.#onCreated?.(lines);
        for (const line of lines) onDurableLine?.({ ledger: "pipeline", pipeline, line });
      },
      complete: (lines) => {
        if (
          this.#state.linesSinceCheckpoint + lines.length <
          (this.#options.checkpointLines ?? CHECKPOINT_LINES)
        )
          return [];
        const checkpoint = checkpointAfter(this.#state, lines);
        return fits(checkpoint) ? [checkpoint] : [];
      },
    };
  }

  /**
   * Creates the ledger with these events. The first event carries the format, and a checkpoint
   * follows it.
   */
  async #create(events: readonly PipelineEvent[]): Promise<PipelineLine[]> {
    let written: readonly PipelineLine[] = [];
    // Not an option of the file, which would keep all that is here as long as it is open.
    this.#onCreated = (lines) => {
      this.#onCreated = undefined;
      written = lines.filter((line) => line.type !== "pipeline.checkpoint");
    };
    await this.#change.make(async () => {
      const first = { ...events[0]!, format: LEDGER_FORMAT };
      const rest = events.slice(1);
      const at = iso(this.#options.clock.now());
      const checkpoint = checkpointAfter(this.#state, [{ ...first, seq: 1, b: 1, at }]);
      const options = this.#fileOptions();
      this.#file = await this.#onceUnblocked(() =>
        LedgerFile.create<PipelineEvent>(this.path, [first, checkpoint, ...rest], options),
      );
    });
    return [...written];
  }

  async #rotate(): Promise<void> {
    const old = this.#file!;
    // Somebody may have removed it: then it is put back before it gets its second name.
    await old.look();
    await old.close();
    this.#file = await this.#onceUnblocked(() =>
      this.#replace(rotatedName(this.path, this.#options.clock.now(), isRotatedLedger)),
    );
    // Otherwise a file that begins with a long checkpoint would be full from the start.
    this.#rotateAt = Math.max(this.#options.rotateBytes ?? ROTATE_BYTES, 2 * this.#file.size);
  }

  /** After damage: begins a new file with what the good lines say. */
  async #beginAfter({ line, fault }: LedgerDamaged): Promise<void> {
    const { lines } = readTail<PipelineEvent>(this.path, "pipeline.checkpoint");
    for (const good of lines) evolvePipeline(this.#state, good);
    const lastAt = lines.at(-1)?.at;
    this.leftAt = lastAt;
    const keptAs = ownDamagedName(this.path);
    this.#file = await this.#replace(keptAs);
    this.damage = { line, fault, keptAs, lastAt };
  }

  #replace(keepAs: string): Promise<LedgerFile<PipelineEvent>> {
    return LedgerFile.replace(this.path, keepAs, firstLines(this.#state), this.#fileOptions());
  }

  /** Waits while the path is bad, as the file's own writes do. */
  #onceUnblocked<T>(act: () => Promise<T>): Promise<T> {
    return untilRoom(this.#options, act, (error) => isPathFault(error) && !this.#closed);
  }
}

/** The first lines of a new file, which say all that a state says. */
function firstLines(state: PipelineState): PipelineEvent[] {
  const checkpoint = { ...checkpointOf(state), format: LEDGER_FORMAT };
  if (state.digest === undefined) return [checkpoint];
  return [
    {
      type: "pipeline.loaded",
      format: LEDGER_FORMAT,
      digest: state.digest,
      schedules: [...state.schedules],
      tz: state.tz ?? "",
      tzdata: state.tzdata ?? "",
      ...(state.file === undefined ? {} : { file: state.file }),
      ...state.about,
    },
    checkpoint,
  ];
}

/** The checkpoint that is due after these lines, which `state` does not have yet. */
function checkpointAfter(state: PipelineState, lines: readonly PipelineLine[]): PipelineEvent {
  const at = lines[0]!.at;
  const copy = evolvePipeline(emptyPipelineState(), {
    ...checkpointOf(state),
    seq: state.lastSeq,
    b: state.lastSeq,
    at,
  });
  for (const line of lines) evolvePipeline(copy, line);
  return { ...checkpointOf(copy), format: LEDGER_FORMAT };
}

/**
 * Whether a checkpoint fits into a line. Thousands of active runs make it too long: then opening
 * reads further back.
 */
function fits(checkpoint: PipelineEvent): boolean {
  return Buffer.byteLength(JSON.stringify(checkpoint)) < MAX_LINE_BYTES - 1_024;
}

/**
 * Whether there is a ledger to open, in a folder that this user may use. @throws PathFault or a
 * Node error if a path is bad
 */
function isUsable(path: string): boolean {
  const exists = regularFile(path) !== undefined;
  const folder = dirname(path);
  const rights = constants.R_OK | constants.X_OK | (exists ? 0 : constants.W_OK);
  if (isThere(folder)) accessSync(`${folder}/.`, rights);
  return exists;
}

function asBlocked(path: string, error: unknown): LedgerBlocked {
  return error instanceof LedgerBlocked ? error : new LedgerBlocked(path, error);
}
