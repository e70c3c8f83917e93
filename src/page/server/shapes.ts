/**
 * What each route answers, as zod: the OpenAPI document is made of these, and tests hold every
 * answer to them. The types themselves are those of src/views. A client has to bear members that
 * it does not know.
 */
import * as z from "zod";

/** A time. */
export const time = z.string().meta({ description: "ISO 8601, UTC" });
/** A value that may be null. */
export const orNull = <T extends z.ZodType>(type: T): z.ZodNullable<T> => z.nullable(type);
const ms = z.number().meta({ description: "milliseconds" });
/** A reason. */
export const because = z.string().meta({ description: "a short reason that a person understands" });
const any = z.unknown().meta({ description: "any JSON value" });
const values = z.record(z.string(), any);
const status = z.string().meta({ description: "one of ZenML's words, or `skipped`" });

const error = z.looseObject({ name: z.string(), message: z.string() });
const trigger = z.looseObject({
  kind: z.enum(["schedule", "catch_up", "manual", "backfill", "rerun"]),
  scheduledFor: time.optional(),
  requestId: z.string().optional(),
});

const lastRun = z.strictObject({
  run: z.string(),
  status,
  startedAt: orNull(time),
  finishedAt: orNull(time),
  because: because.optional(),
});

export const daemon = z
  .strictObject({ pid: z.int(), since: time, version: z.string(), tz: z.string() })
  .meta({ description: "the daemon that is up" });

/** Backfills that are under way. */
const backfills = z.array(
  z.strictObject({ id: z.string(), from: time, to: time, which: z.string() }),
);

/** The members of a pipeline, as `orchd status` has them. */
const pipelineMembers = {
  name: z.string(),
  file: orNull(z.string()),
  valid: z.boolean(),
  errors: z.array(z.string()),
  paused: z.boolean(),
  schedule: orNull(z.string()),
  nextFire: orNull(time),
  lastRun: orNull(lastRun),
  active: z.array(z.string()),
  queued: z.array(z.string()),
  waiting: z.array(z.strictObject({ run: z.string(), because })).optional(),
  counts: z.record(z.string(), z.number()),
  backfills: backfills.optional(),
  removed: z.literal(true).optional(),
  aside: z.literal(true).optional(),
  disturbed: z.strictObject({ at: time, because }).optional(),
  silence: z
    .strictObject({ until: time, because: because.optional(), by: z.string().optional() })
    .optional(),
  unread: z.literal(true).optional(),
};

/** `orchd status --json`. */
export const statusShape = z
  .strictObject({
    daemon: orNull(daemon),
    pipelines: z.array(z.strictObject(pipelineMembers)),
  })
  .meta({ id: "Status" });

const decision = z.enum([
  "fired",
  "caught_up",
  "skipped",
  "missed",
  "backfilled",
  "none",
  "pending",
  "coming",
]);

const outcomeMembers = {
  pipeline: z.string(),
  slot: orNull(time),
  decision,
  because: orNull(because),
  schedule: orNull(z.string()),
  run: orNull(z.string()),
  status: orNull(status),
  decidedAt: orNull(time),
};

/** What became of slots. */
export const slotOutcomesShape = z.array(
  z.strictObject(outcomeMembers).meta({ id: "SlotOutcome" }),
);

/** `orchd why --json`, always as a list. */
export const slotAnswersShape = z.array(
  z.strictObject({ ...outcomeMembers, sentence: z.string() }).meta({ id: "SlotAnswer" }),
);

const nextSlot = z
  .strictObject({
    pipeline: z.string(),
    slot: time,
    local: z.string(),
    due: time.optional(),
    schedule: z.string().optional(),
    note: z.string().optional(),
  })
  .meta({ id: "NextSlot" });

/** `orchd next --json`. */
export const nextSlotsShape = z.array(nextSlot);

const slotSums = z
  .strictObject({
    total: z.int(),
    ran: z.int(),
    late: z.int(),
    failed: z.int(),
    skipped: z.int(),
    missed: z.int(),
  })
  .meta({ id: "SlotSums" });

const slotReason = z
  .strictObject({
    decision: z.enum(["skipped", "missed"]),
    because,
    slots: z.int(),
    backfilled: z.int(),
    pipelines: z.array(z.string()),
    from: time,
    to: time,
  })
  .meta({ id: "SlotReason" });

const { pipeline: _pipeline, ...markMembers } = outcomeMembers;
const stripMark = z
  .strictObject({
    ...markMembers,
    decision: z.enum([...decision.options, "by_hand"]),
    lateMs: orNull(ms),
    durationMs: orNull(ms),
  })
  .meta({ id: "StripMark" });

const downtime = z.strictObject({ from: time, to: orNull(time), because }).meta({ id: "Downtime" });

const rowMembers = {
  ...pipelineMembers,
  description: orNull(z.string()),
  tags: z.array(z.string()),
  timezones: z.array(z.string()),
  needsYou: z.boolean(),
  strip: orNull(z.array(stripMark)).meta({
    description: "the last slots, oldest first; null where it was not asked for",
  }),
  lastMs: orNull(ms),
  usualMs: orNull(ms),
  because: orNull(because),
};

/** The five questions answered. */
export const overviewShape = z
  .strictObject({
    at: time,
    host: z.string(),
    root: z.string(),
    daemon: orNull(daemon),
    from: time,
    slots: slotSums,
    downtimes: z.array(downtime),
    reasons: z.array(slotReason),
    running: z.array(
      z.strictObject({
        run: z.string(),
        pipeline: z.string(),
        startedAt: orNull(time),
        usualMs: orNull(ms),
        done: z.int(),
        steps: z.int(),
        waiting: z.int().meta({ description: "steps that no place takes" }),
      }),
    ),
    next: z.array(nextSlot),
    changes: z.array(
      z.strictObject({
        at: time,
        kind: z.enum(["valid", "invalid", "paused", "resumed", "removed", "daemon"]),
        pipeline: orNull(z.string()),
        sentence: z.string(),
      }),
    ),
    alerts: z.strictObject({ gaveUp: z.int(), broken: z.array(z.string()) }).optional(),
    pipelines: z.array(z.strictObject(rowMembers)),
  })
  .meta({ id: "Overview" });

/** The last slots of some pipelines. */
export const stripsShape = z.array(
  z.strictObject({ pipeline: z.string(), strip: z.array(stripMark) }).meta({ id: "Strip" }),
);

/** Which root this is. */
export const hereShape = z
  .strictObject({
    at: time,
    host: z.string(),
    root: z.string(),
    daemon: orNull(daemon),
    may: z.enum(["read", "operate"]),
  })
  .meta({ id: "Here" });

/** The decisions of all pipelines on one axis. */
export const slotGridShape = z
  .strictObject({
    at: time,
    from: time,
    to: time,
    sums: slotSums,
    downtimes: z.array(downtime),
    rows: z.array(
      z.strictObject({
        pipeline: z.string(),
        schedule: orNull(z.string()),
        timezones: z.array(z.string()),
        paused: z.boolean(),
        marks: z.array(stripMark).optional(),
        cells: z
          .array(z.strictObject({ cell: z.int(), count: z.int(), worst: stripMark }))
          .optional(),
        coming: z.array(nextSlot),
        cut: time.optional(),
      }),
    ),
    reasons: z.array(slotReason),
  })
  .meta({ id: "SlotGrid" });

/** The steps of a pipeline or of a run. */
export const graphShape = z
  .strictObject({
    name: z.string(),
    status: status.optional(),
    dynamic: z.boolean(),
    steps: z.array(
      z.strictObject({
        step: z.string(),
        inputs: z.array(
          z.strictObject({ name: z.string(), from: z.string(), output: z.string().optional() }),
        ),
        after: z.array(z.string()),
        status: status.optional(),
      }),
    ),
  })
  .meta({ id: "Graph" });

/** One pipeline, with all that its ledger says. */
export const pipelinePageShape = z
  .strictObject({
    ...rowMembers,
    params: values,
    schedules: z.array(z.looseObject({})),
    next: z.array(nextSlot),
    rehearsal: z.looseObject({ from: time, to: time, slots: z.int() }),
    trend: z.array(z.strictObject({ run: z.string(), at: time, status, durationMs: ms })),
    versions: z.array(
      z.strictObject({
        at: time,
        digest: orNull(z.string()),
        valid: z.boolean(),
        errors: z.array(z.string()),
      }),
    ),
    backfills,
    graph: orNull(graphShape),
  })
  .meta({ id: "Pipeline" });

/** A pipeline's file. */
export const pipelineFileShape = z
  .strictObject({
    file: z.string(),
    text: orNull(z.string()),
    because: orNull(because),
    faults: z.array(z.strictObject({ line: orNull(z.int()), text: z.string() })),
  })
  .meta({ id: "PipelineFile" });

const runMembers = {
  run: z.string(),
  pipeline: z.string(),
  status,
  inProgress: z.boolean(),
  trigger,
  submittedAt: time,
  startedAt: orNull(time),
  finishedAt: orNull(time),
  because: orNull(because),
  durationMs: orNull(ms),
};

/** A page of runs. */
export const runsShape = z
  .strictObject({
    runs: z.array(z.strictObject({ ...runMembers, steps: z.int() }).meta({ id: "RunSummary" })),
    cursor: orNull(z.string()),
  })
  .meta({ id: "Runs" });

/** Runs that were found by words. */
export const searchShape = z
  .strictObject({
    runs: z.array(
      z.strictObject({
        run: z.string(),
        pipeline: z.string(),
        status,
        submittedAt: time,
        step: orNull(z.string()).meta({ description: "the step that matched, if it was one" }),
        text: z.string().meta({ description: "the text that matched" }),
      }),
    ),
    looked: z.int().meta({ description: "how many runs were looked at" }),
    hasMore: z.boolean().meta({ description: "there are older runs that were not looked at" }),
  })
  .meta({ id: "Search" });

const placedMembers = { place: z.string(), host: z.string(), ref: z.string() };
const placed = z.strictObject(placedMembers);

/** One run. */
export const runPageShape = z
  .strictObject({
    ...runMembers,
    fault: z.string().optional(),
    steps: z.array(
      z.strictObject({
        step: z.string(),
        status,
        attempts: z.int(),
        because: orNull(because),
        waits: z.literal(true).optional().meta({
          description: "it could begin, and waits for its place or its image",
        }),
        startedAt: orNull(time),
        finishedAt: orNull(time),
        error: error.optional(),
        timeline: z.array(
          z.strictObject({
            attempt: z.int(),
            startedAt: time,
            endedAt: orNull(time),
            status: z.string(),
            because: orNull(because),
            endedBecause: orNull(because),
            placed: placed.optional(),
          }),
        ),
        placed: placed.optional().meta({ description: "where its last attempt runs or ran" }),
        placements: z.array(z.strictObject({ attempt: z.int(), ...placedMembers })).optional(),
        source: orNull(z.strictObject({ run: z.string(), step: z.string() })),
        inputs: values,
        outputs: any,
      }),
    ),
    params: values,
    tags: z.array(z.string()),
    lateMs: orNull(ms),
    usual: z.strictObject({ medianMs: orNull(ms), runs: z.int() }),
    before: z.array(z.strictObject({ run: z.string(), status, durationMs: orNull(ms) })),
    rerun: orNull(z.strictObject({ reused: z.int(), steps: z.int() })),
    ledger: z.strictObject({ file: z.string(), lines: z.int(), fault: orNull(z.string()) }),
    graph: graphShape,
  })
  .meta({ id: "Run" });

/** A page of a run's ledger. */
export const runLedgerShape = z
  .strictObject({
    lines: z.array(z.looseObject({ seq: z.int(), at: time, type: z.string() })),
    next: orNull(z.int()),
    fault: orNull(z.string()),
  })
  .meta({ id: "RunLedger" });

/** A page of a run's log. */
export const runLogShape = z
  .strictObject({
    lines: z.array(
      z.strictObject({
        n: z.int(),
        at: time,
        step: z.string(),
        attempt: z.int(),
        stream: z.string(),
        line: z.string(),
      }),
    ),
    from: z.int(),
    next: z.int(),
    more: z.boolean(),
  })
  .meta({ id: "RunLog" });

/** Two runs compared. */
export const diffShape = z
  .strictObject({
    before: z.string(),
    after: z.string(),
    params: z.array(z.string()),
    pipelineChanged: z.boolean(),
    steps: z.array(
      z.strictObject({
        step: z.string(),
        before: orNull(status),
        after: orNull(status),
        ranAnew: z.boolean(),
        changes: z.array(z.string()),
        because: orNull(because),
        skippedBefore: z.string().optional(),
      }),
    ),
  })
  .meta({ id: "Diff" });

/** What a backfill would cost. */
export const priceShape = z
  .strictObject({
    pipeline: z.string(),
    from: time,
    to: time,
    which: z.enum(["missing", "failed", "all"]),
    slots: z.int(),
    runs: z.int(),
    executes: z.int(),
    cached: z.int(),
    steps: z.strictObject({ total: z.int(), cached: z.int() }),
    estimatedMs: orNull(ms),
    first: orNull(time),
    last: orNull(time),
    pricedBy: orNull(z.strictObject({ run: z.string(), at: time, older: z.boolean() })),
  })
  .meta({ id: "BackfillPrice" });

/** One request. */
export const requestShape = z
  .strictObject({
    id: z.string(),
    type: orNull(z.string()),
    pipeline: orNull(z.string()),
    run: orNull(z.string()),
    by: orNull(z.string()),
    at: time,
    state: z.enum(["open", "accepted", "refused"]),
    reason: orNull(z.string()),
  })
  .meta({ id: "Request" });

/** A page of requests. */
export const requestsShape = z
  .strictObject({ requests: z.array(requestShape), cursor: orNull(z.string()) })
  .meta({ id: "Requests" });

/** What was taken by `POST /requests`. */
export const takenShape = z
  .strictObject({
    id: z.string(),
    type: z.string(),
    state: z.enum(["open", "accepted", "refused"]),
  })
  .meta({ id: "TakenRequest" });

/** A JSON Schema. */
export const schemaShape = z.looseObject({}).meta({ id: "JsonSchema" });

/** Whatever goes wrong. */
export const problemShape = z
  .strictObject({
    type: z.literal("about:blank"),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: "one sentence that says what to do" }),
    exitCode: z.int().meta({ description: "what the command line would exit with" }),
  })
  .meta({ id: "Problem" });
