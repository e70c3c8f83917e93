/**
 * Every line that a ledger can hold.
 *
 * The ledgers of runs and of pipelines are sequences of these events. Everything orchd knows is a
 * fold over them. The ledger adds the framing (`seq`, `b`, `at`, `crc`) when it writes a line
 * (src/ledger/ledger-file.ts).
 *
 * To add an event:
 *
 * 1. write its schema here, in the union it belongs to, with one sentence on what it says;
 * 2. add its case to `evolve` (run-fold.ts) or `evolvePipeline` (pipeline-fold.ts);
 * 3. change the planner, if the event changes what comes next;
 * 4. add a line to docs/ledger.md;
 * 5. add a ledger that holds it to test/fixtures/ledgers.
 *
 * A reader keeps and ignores an event or a field that it does not know, so adding one is always
 * safe. Changing what one means needs a new `format`.
 *
 * It stays one file: the JSON Schemas and the tables of docs/ledger.md are made from all of it.
 */
import * as z from "zod";
import type { StepError } from "./failure.ts";
import { FINAL_RUN_STATUSES } from "./status.ts";
import type { Json, Snapshot } from "./snapshot.ts";

const json = z
  .custom<Json>((value) => value !== undefined)
  .meta({ description: "any JSON value, or {$artifact, bytes}" });
const time = z.string().meta({ description: "ISO 8601, UTC" });
const because = z.string().meta({ description: "a short reason that a person understands" });

/** Why a run exists, and which slot or run it is for. */
export const triggerSchema = z.looseObject({
  kind: z.enum(["schedule", "catch_up", "manual", "backfill", "rerun"]),
  scheduledFor: time.optional(),
  schedule: z.string().optional().meta({ description: "the schedule's name, if it has one" }),
  requestId: z.string().optional(),
  /** The run that a re-run repeats. */
  of: z.string().optional(),
  from: z
    .string()
    .optional()
    .meta({ description: "the step from which a re-run runs everything again" }),
  noCache: z.boolean().optional(),
  placeholder: z.boolean().optional().meta({
    description: "a program made the run, and starts it with a later call; if never, it is stopped",
  }),
});

/** Why a run exists: {@link triggerSchema}. */
export type Trigger = z.infer<typeof triggerSchema>;

const error = z.looseObject({
  name: z.string(),
  message: z.string(),
  code: z.string().optional(),
  stack: z.string().optional(),
  exitStatus: z.int().optional(),
  cause: z.lazy(() => cause).optional(),
  errors: z.lazy(() => causes).optional(),
});
// The types of a schema that holds itself have to be written down.
const cause = error as unknown as z.ZodType<StepError>;
const causes = z.array(cause) as unknown as z.ZodType<readonly StepError[]>;
const step = z.string();
const attempt = z.int().min(1);
const outputs = z.record(z.string(), json);
const texts = z.record(z.string(), z.string());
const stopMode = z.enum(["graceful", "force"]);
const durationMs = z.number().meta({
  description: "from the run's start to its end by the wall clock, in milliseconds",
});
const workedMs = z.number().optional().meta({
  description: "how long daemons worked on the run, where that is not its duration",
});

/** The limits that a waiting run must fit under. An absent one does not limit it. */
const limitsSchema = z.looseObject({
  lane: z.int().optional(),
  group: z.int().optional(),
  total: z.int().optional(),
});

const runEvents = [
  z
    .looseObject({
      type: z.literal("run.submitted"),
      format: z.int(),
      run: z.string(),
      pipeline: z.string(),
      orchestratorRunId: z.string(),
      trigger: triggerSchema,
      params: z.record(z.string(), json),
      snapshot: z.custom<Snapshot>((value) => typeof value === "object" && value !== null),
      tags: z.array(z.string()),
      because: because.optional(),
      /**
       * The steps that a re-run does not run again: step id -> the run whose outputs are used
       * instead.
       */
      reuse: z.record(z.string(), z.string()).optional(),
      /** The concurrency group that it shares with runs of other pipelines. */
      group: z.string().optional(),
      /** The hooks of the run that its orchestrator's class overrides. */
      orchestratorHooks: z.array(z.enum(["init", "cleanup"])).optional(),
    })
    .meta({ description: "The header: the run exists, with everything that it needs." }),
  z
    .looseObject({
      type: z.literal("submit.given"),
      orchestrator: z
        .custom<Snapshot["orchestrator"]>((value) => typeof value === "object" && value !== null)
        .optional(),
      baseEnvironment: texts.optional(),
      stackEnvironment: texts.optional(),
      stepEnvironments: z.record(z.string(), texts).optional(),
      orchestratorHooks: z.array(z.enum(["init", "cleanup"])).optional(),
    })
    .meta({
      description:
        "A program submits the run, with an orchestrator or environments of its own choice.",
    }),
  z
    .looseObject({ type: z.literal("submit.started"), because: because.optional() })
    .meta({ description: "The orchestrator is about to be called." }),
  z
    .looseObject({
      type: z.literal("submit.accepted"),
      orchestratorRunId: z.string().optional(),
      metadata: z.record(z.string(), json),
    })
    .meta({ description: "The orchestrator accepted the run." }),
  z.looseObject({ type: z.literal("submit.identified"), orchestratorRunId: z.string() }).meta({
    description: "The orchestrator named its run, before the first step that it asked for.",
  }),
  z.looseObject({ type: z.literal("submit.failed"), error }).meta({
    description: "The orchestrator did not accept the run, or it is not known whether it did.",
  }),
  z.looseObject({ type: z.literal("submit.warning"), error, because }).meta({
    description:
      "The orchestrator threw where that fails no run: while it waited, as it was asked how the " +
      "run stands, or after the end of all that it had asked for.",
  }),
  z.looseObject({ type: z.literal("stop.accepted"), mode: stopMode, because }).meta({
    description: "The orchestrator's `stopRun` returned.",
  }),
  z.looseObject({ type: z.literal("stop.failed"), mode: stopMode, error, because }).meta({
    description: "The orchestrator's `stopRun` threw, or did not return in time.",
  }),
  z.looseObject({ type: z.literal("run.queued"), because, limits: limitsSchema.optional() }).meta({
    description:
      "The run waits for its turn. `limits` tell what it waits for, as other runs come and go.",
  }),
  z
    .looseObject({ type: z.literal("run.started"), because })
    .meta({ description: "The run's steps may start from here on." }),
  z
    .looseObject({
      type: z.literal("run.stop_requested"),
      mode: stopMode,
      requestId: z.string().optional(),
      by: z.string(),
      because: because.optional(),
      asksOrchestrator: z.boolean().optional(),
    })
    .meta({
      description:
        "A stop was asked for: graceful lets no new step start, force also ends running ones. " +
        "`asksOrchestrator`: `stopRun` is called, and a line says what it answered.",
    }),
  z
    .looseObject({ type: z.literal("run.timed_out"), because })
    .meta({ description: "The run's own time limit passed." }),
  z
    .looseObject({
      type: z.literal("run.recovered"),
      because,
      workedUntil: time
        .optional()
        .meta({ description: "when the earlier daemon was last seen, after its last line" }),
    })
    .meta({ description: "A new daemon took the run over after a crash or a restart." }),
  z
    .looseObject({ type: z.literal("run.overdue"), because })
    .meta({ description: "The run takes far longer than its own history." }),
  z
    .looseObject({
      type: z.literal("run.waits"),
      on: z.array(z.string()).meta({ description: "the labels that the steps want, sorted" }),
      because,
    })
    .meta({
      description:
        "Steps of the run could start, and no place with these labels takes them; written again " +
        "when the reason changes.",
    }),
  z
    .looseObject({
      type: z.literal("run.function_ended"),
      error: error.optional(),
      unawaited: z
        .array(z.string())
        .optional()
        .meta({ description: "steps that failed and that nothing awaited, at most 16" }),
    })
    .meta({ description: "A dynamic pipeline's function returned or threw." }),
  z
    .looseObject({
      type: z.literal("run.finished"),
      status: z.enum(FINAL_RUN_STATUSES),
      because,
      durationMs,
      workedMs,
    })
    .meta({ description: "The run ended; the ledger's last line." }),
] as const;

const stepEvents = [
  z
    .looseObject({
      type: z.literal("step.added"),
      step,
      /** The compiled step, a SnapshotStep. */
      spec: z.custom<Snapshot["steps"][number]>(
        (value) => typeof value === "object" && value !== null,
      ),
      /**
       * The call's text: it shows whether a function decides differently when it runs again. A text
       * of over 16,384 characters is its beginning and the sha256 of the whole.
       */
      call: z.string().optional(),
      /** Input values that are given directly and are not another step's output. */
      values: z.record(z.string(), json).optional(),
      because: because.optional(),
    })
    .meta({ description: "A dynamic pipeline's function asked for this invocation." }),
  z
    .looseObject({
      type: z.literal("step.started"),
      step,
      attempt,
      cacheKey: z.string().optional(),
      /** The orchestrator started it: orchd only knows of it. */
      elsewhere: z.boolean().optional(),
      because,
    })
    .meta({ description: "An attempt is about to begin; written before it does." }),
  z
    .looseObject({
      type: z.literal("step.placed"),
      step,
      attempt,
      place: z
        .string()
        .meta({ description: "`podman`, `docker`, or the name of a place of orchd.yaml" }),
      host: z.string().meta({ description: "the machine's name" }),
      ref: z.string().meta({ description: "what it runs in there: a container's name, for one" }),
    })
    .meta({
      description:
        "An attempt got its place, where that is not a process of this machine alone; it begins " +
        "there, or has just begun.",
    }),
  z
    .looseObject({
      type: z.literal("step.completed"),
      step,
      attempt,
      outputs,
      durationMs: z.number(),
    })
    .meta({ description: "An attempt succeeded, with these outputs." }),
  z
    .looseObject({
      type: z.literal("step.cached"),
      step,
      source: z.looseObject({ run: z.string(), step: z.string() }),
      outputs,
      cacheKey: z.string().optional(),
      because,
    })
    .meta({
      description: "The step did not run: an earlier result with the same key is used.",
    }),
  z
    .looseObject({
      type: z.literal("step.failed"),
      step,
      attempt,
      error,
      retryAt: time.optional(),
      durationMs: z.number().optional(),
      because: because.optional(),
    })
    .meta({ description: "An attempt failed; with `retryAt` another follows." }),
  z
    .looseObject({ type: z.literal("step.stopped"), step, attempt: attempt.optional(), because })
    .meta({ description: "The step was ended by a stop." }),
  z
    .looseObject({ type: z.literal("step.skipped"), step, because })
    .meta({ description: "The step will not run in this run." }),
  z
    .looseObject({
      type: z.literal("step.interrupted"),
      step,
      attempt,
      because,
      next: z.enum(["retry", "rerun", "fail"]),
      retryAt: time.optional(),
      /** The step runs again in a runner of its own: that shows which step made a runner die. */
      alone: z.boolean().optional(),
    })
    .meta({ description: "The daemon, the runner or a drain ended a running attempt." }),
  z
    .looseObject({
      type: z.literal("step.result_refused"),
      step,
      attempt: attempt.optional(),
      because,
    })
    .meta({
      description: "A result came for an attempt that is no longer the current one.",
    }),
  z
    .looseObject({
      type: z.literal("hook.completed"),
      hook: z.string(),
      step: step.optional(),
      state: json.optional(),
    })
    .meta({ description: "A hook returned; an init hook's value is the run's state." }),
  z
    .looseObject({ type: z.literal("hook.failed"), hook: z.string(), step: step.optional(), error })
    .meta({ description: "A hook threw. This changes no status, except for an init hook." }),
] as const;

const slotSchedule = z
  .string()
  .optional()
  .meta({ description: "the schedule's name, if it has one" });
/** Schedules without params share their slots. This is the name of the one that gave the slot. */
const slotOf = z.string().optional().meta({
  description: "the name of the schedule that gave the slot, if it is not part of the run's id",
});
const shadow = z.boolean().optional().meta({ description: "recorded only: there is no run" });
const requestId = z.string().optional();
const through = time
  .optional()
  .meta({ description: "the due time up to which every slot is decided" });

/** The members of a slot that got its run, on time or late. */
const firedSlot = {
  slot: time,
  run: z.string(),
  schedule: slotSchedule,
  of: slotOf,
  through,
  because: because.optional(),
  latenessMs: z.number().optional(),
  shadow,
};
/** Who asked to pause, to resume or for silence, and why. */
const pauseRequest = {
  requestId,
  by: z.string().optional(),
  because: because.optional(),
};

const pipelineEvents = [
  z
    .looseObject({
      type: z.literal("pipeline.loaded"),
      format: z.int().optional(),
      digest: z.string(),
      schedules: z.array(json),
      tz: z.string(),
      tzdata: z.string(),
      file: z.string().optional(),
      since: time.optional().meta({
        description:
          "slots of these schedules count from here on; it moves when the schedules change",
      }),
      through,
      description: z.string().optional(),
      tags: z.array(z.string()).optional(),
      params: z.record(z.string(), json).optional().meta({
        description:
          "the declared params with their defaults, a secret by its name; absent if they are long",
      }),
      notify: json.optional().meta({
        description: "who is told of the pipeline, as its file says; absent: as orchd.yaml says",
      }),
    })
    .meta({ description: "A pipeline file was read and is in force." }),
  z
    .looseObject({
      type: z.literal("pipeline.invalid"),
      errors: z.array(z.string()),
      file: z.string().optional(),
    })
    .meta({
      description: "A pipeline file was refused: the last good version stays in force.",
    }),
  z
    .looseObject({ type: z.literal("pipeline.removed"), file: z.string().optional() })
    .meta({ description: "The pipeline file is gone: nothing fires any more." }),
  z
    .looseObject({ type: z.literal("pipeline.paused"), ...pauseRequest })
    .meta({ description: "The schedule is paused." }),
  z
    .looseObject({ type: z.literal("pipeline.resumed"), ...pauseRequest })
    .meta({ description: "The schedule goes on." }),
  z
    .looseObject({
      type: z.literal("pipeline.silenced"),
      until: time.nullable(),
      ...pauseRequest,
    })
    .meta({
      description:
        "Nobody is told of the pipeline until then; null: people are told again. The schedule " +
        "goes on.",
    }),
  z
    .looseObject({ type: z.literal("slot.fired"), ...firedSlot })
    .meta({ description: "The slot's run was made." }),
  z
    .looseObject({
      type: z.literal("slot.skipped"),
      slot: time,
      because,
      schedule: slotSchedule,
      of: slotOf,
      through,
    })
    .meta({ description: "The slot was due and did not run, by a rule." }),
  z
    .looseObject({
      type: z.literal("slot.missed"),
      slot: time,
      until: time.optional(),
      because,
      schedule: slotSchedule,
      of: slotOf,
      through,
    })
    .meta({
      description:
        "The slot passed without a run; with `until`, all slots from `slot` through `until`.",
    }),
  z
    .looseObject({ type: z.literal("slot.caught_up"), ...firedSlot })
    .meta({ description: "The slot ran late." }),
  z
    .looseObject({
      type: z.literal("slot.backfilled"),
      slot: time,
      run: z.string(),
      schedule: slotSchedule,
      requestId,
    })
    .meta({ description: "A backfill made a run for a past slot." }),
  z
    .looseObject({ type: z.literal("slot.late"), slot: time, run: z.string().optional(), because })
    .meta({ description: "The slot has not started within its grace." }),
  z
    .looseObject({
      type: z.literal("pipeline.checkpoint"),
      format: z.int().optional(),
      through,
      paused: z.boolean(),
      schedules: z.array(json),
      active: z.array(z.string()),
      queued: z.array(z.string()),
      last: json,
      counts: z.record(z.string(), z.number()),
    })
    .meta({ description: "Everything that a reader needs from the lines before." }),
  z.looseObject({ type: z.literal("runs.pruned"), until: time, runs: z.int() }).meta({
    description:
      "Retention is about to remove this many runs. `until`: the newest slot or time of asking " +
      "among them.",
  }),
  z.looseObject({ type: z.literal("ledger.disturbed"), run: z.string().optional(), because }).meta({
    description:
      "Somebody removed, replaced or changed this ledger, or a run's, under the daemon. " +
      "`because`: what was found, and what became of it.",
  }),
  z
    .looseObject({
      type: z.literal("clock.stepped"),
      from: time,
      to: time,
      through,
      because: because.optional(),
      fired: json.optional(),
    })
    .meta({
      description:
        "The wall clock jumped. `fired`: slots after `through` that fired too long ago to be " +
        "remembered, packed as in a checkpoint.",
    }),
  z
    .looseObject({ type: z.literal("run.queued"), run: z.string(), because, requestId })
    .meta({ description: "A run waits for its turn." }),
  z
    .looseObject({
      type: z.literal("run.started"),
      run: z.string(),
      trigger: z.string().optional(),
      requestId,
    })
    .meta({ description: "A run began." }),
  z
    .looseObject({
      type: z.literal("run.finished"),
      run: z.string(),
      status: z.enum(FINAL_RUN_STATUSES),
      durationMs,
      workedMs,
      because: because.optional(),
      trigger: z.string().optional(),
      steps: z.record(z.string(), z.int()).optional(),
      retries: z.int().optional(),
    })
    .meta({
      description:
        "A run ended. `steps`: how many ended in each status. `retries`: attempts after a failed " +
        "one.",
    }),
  z
    .looseObject({ type: z.literal("run.overdue"), run: z.string(), because })
    .meta({ description: "A run takes far longer than its own history." }),
  z
    .looseObject({
      type: z.literal("backfill.started"),
      requestId: z.string(),
      from: time,
      to: time,
      which: z.string(),
      slots: z.int().optional(),
      maxActive: z.int().optional(),
      schedule: slotSchedule,
      params: z.record(z.string(), json).optional(),
    })
    .meta({
      description: "A backfill was accepted.",
    }),
  z
    .looseObject({ type: z.literal("backfill.finished"), requestId: z.string(), because })
    .meta({ description: "A backfill made its last run, or was cancelled." }),
  z
    .looseObject({ type: z.literal("request.noted"), requestId: z.string(), because })
    .meta({ description: "A request was carried out that leaves no other line here." }),
] as const;

/** Any event of a run's ledger. */
export const runEventSchema = z.discriminatedUnion("type", [...runEvents, ...stepEvents]);
/** Any event of a pipeline's ledger. */
export const pipelineEventSchema = z.discriminatedUnion("type", [...pipelineEvents]);

/** An event of a run's ledger, without its framing. */
export type RunEvent = z.infer<typeof runEventSchema>;
/** An event of a pipeline's ledger, without its framing. */
export type PipelineEvent = z.infer<typeof pipelineEventSchema>;

/** The framing that the ledger adds to each event. `crc` stands last. */
export const frameSchema = z.looseObject({
  seq: z.int().min(1).meta({ description: "counts from 1" }),
  b: z.int().min(1).meta({ description: "the seq of the first line of the same write" }),
  at: time,
  type: z.string(),
  crc: z
    .string()
    .regex(/^[0-9a-f]{8}$/)
    .meta({
      description: 'CRC-32 of the raw bytes before `,"crc":`, seeded with the line before\'s',
    }),
});

/** An event as it is read back, with its framing. */
export type Framed<E> = E & { readonly seq: number; readonly b: number; readonly at: string };
/** A run event with its framing. */
export type RunLine = Framed<RunEvent>;

/** Line 1 of a run's ledger. */
export type RunHeader = Extract<RunEvent, { readonly type: "run.submitted" }>;
/** A pipeline event with its framing. */
export type PipelineLine = Framed<PipelineEvent>;

/**
 * The JSON Schemas of all events, as `orchd schema ledger` prints them: one object for each kind of
 * ledger, with event types as keys.
 */
export function ledgerJsonSchemas(): Record<"run" | "pipeline", Record<string, unknown>> {
  const of = (schemas: readonly z.ZodObject[]): Record<string, unknown> =>
    Object.fromEntries(
      schemas.map((schema) => [
        String((schema.shape["type"] as z.ZodLiteral).value),
        z.toJSONSchema(
          z.looseObject({ ...frameSchema.shape, ...schema.shape }).meta(schema.meta() ?? {}),
          { io: "input", unrepresentable: "any" },
        ),
      ]),
    );
  return { run: of([...runEvents, ...stepEvents]), pipeline: of([...pipelineEvents]) };
}
