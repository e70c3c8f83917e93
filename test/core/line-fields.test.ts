/**
 * What `orchd schema ledger` says of the fields of lines. An empty text is a field whose name says
 * all in one event, and not in another.
 */
import { expect, it } from "vitest";
import { ledgerJsonSchemas, runEventSchema } from "../../src/core/event.ts";

interface Schema {
  readonly description?: string;
  readonly properties?: Record<string, Schema>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** The descriptions of fields, by their paths without the event's name. */
function descriptions(): Record<string, string[]> {
  const found = new Map<string, Set<string>>();
  const walk = (schema: Schema, path: string): void => {
    for (const [name, member] of Object.entries(schema.properties ?? {})) {
      const of = `${path}${name}`;
      if (!found.has(of)) found.set(of, new Set());
      found.get(of)!.add(member.description ?? "");
      walk(member, `${of}.`);
    }
    if (schema.items !== undefined) walk(schema.items, path);
    for (const one of schema.anyOf ?? []) walk(one, path);
  };
  const { run, pipeline } = ledgerJsonSchemas();
  for (const schema of [...Object.values(run), ...Object.values(pipeline)])
    walk(schema as Schema, "");
  return Object.fromEntries(
    [...found]
      .map(([path, says]): [string, string[]] => [path, [...says].toSorted()])
      .filter(([, says]) => says.join("") !== "")
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

it("a field says what it means and in which unit, and one name says one thing", () => {
  expect(descriptions()).toEqual({
    at: ["ISO 8601, UTC"],
    b: ["the seq of the first line of the same write"],
    because: ["a short reason that a person understands"],
    crc: ['CRC-32 of the raw bytes before `,"crc":`, seeded with the line before\'s'],
    durationMs: ["", "from the run's start to its end by the wall clock, in milliseconds"],
    fired: ["any JSON value, or {$artifact, bytes}"],
    from: ["ISO 8601, UTC"],
    host: ["the machine's name"],
    last: ["any JSON value, or {$artifact, bytes}"],
    notify: ["who is told of the pipeline, as its file says; absent: as orchd.yaml says"],
    of: ["the name of the schedule that gave the slot, if it is not part of the run's id"],
    on: ["the labels that the steps want, sorted"],
    params: [
      "",
      "the declared params with their defaults, a secret by its name; absent if they are long",
    ],
    place: ["`podman`, `docker`, or the name of a place of orchd.yaml"],
    ref: ["what it runs in there: a container's name, for one"],
    retryAt: ["ISO 8601, UTC"],
    schedule: ["the schedule's name, if it has one"],
    seq: ["counts from 1"],
    shadow: ["recorded only: there is no run"],
    since: ["slots of these schedules count from here on; it moves when the schedules change"],
    slot: ["ISO 8601, UTC"],
    state: ["any JSON value, or {$artifact, bytes}"],
    through: ["the due time up to which every slot is decided"],
    to: ["ISO 8601, UTC"],
    "trigger.from": ["the step from which a re-run runs everything again"],
    "trigger.placeholder": [
      "a program made the run, and starts it with a later call; if never, it is stopped",
    ],
    "trigger.schedule": ["the schedule's name, if it has one"],
    "trigger.scheduledFor": ["ISO 8601, UTC"],
    unawaited: ["steps that failed and that nothing awaited, at most 16"],
    until: ["", "ISO 8601, UTC"],
    workedMs: ["how long daemons worked on the run, where that is not its duration"],
    workedUntil: ["when the earlier daemon was last seen, after its last line"],
  });
});

it.each<[unknown, boolean]>([
  [{ id: "a" }, true],
  ["a", false],
  [null, false],
])("a step.added with the step %j is a line: %j", (spec, isLine) => {
  const line = { type: "step.added", step: "a", spec };
  expect(runEventSchema.safeParse(line).success).toBe(isLine);
});
