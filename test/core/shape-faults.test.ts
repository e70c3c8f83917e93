/** What is told of a key that is misspelt: one sentence, also where the key has to be there. */
import { describe, expect, it } from "vitest";
import { formatPath } from "../../src/core/fault.ts";
import { pipelineSchema } from "../../src/core/pipeline.ts";
import { orchdSettingsSchema } from "../../src/core/settings.ts";
import { checkShape } from "../../src/core/shape-faults.ts";

type Schema = typeof pipelineSchema | typeof orchdSettingsSchema;

const told = (schema: Schema, value: unknown): readonly string[] => {
  const checked = checkShape(schema, value);
  return checked.ok ? [] : checked.faults.map((one) => `${formatPath(one.path)} ${one.message}`);
};
const ofStep = (step: unknown): readonly string[] => told(pipelineSchema, { steps: { a: step } });
const key = { secret: "queue.key" };

describe("a required key that is misspelt is told once", () => {
  it.each([
    [{ places: { a: { engine: "ssh", hots: "x" } } }, "places.a.hots", "host"],
    [{ places: { a: { engine: "nats", ulr: "nats://x", key } } }, "places.a.ulr", "url"],
    [{ places: { a: { enginee: "ssh", host: "x" } } }, "places.a.enginee", "engine"],
    [
      { notify: { channels: { a: { kind: "mail", too: ["x@y.z"], smtp: { host: "h" } } } } },
      "notify.channels.a.too",
      "to",
    ],
    [
      { notify: { channels: { a: { kidn: "webhook", url: "http://x" } } } },
      "notify.channels.a.kidn",
      "kind",
    ],
    [{ notify: { heartbeat: { ulr: "http://x" } } }, "notify.heartbeat.ulr", "url"],
    [{ orchestrators: { a: { use: "./x.ts" } } }, "orchestrators.a.use", "uses"],
  ])("in the settings %j", (value, where, meant) => {
    expect(told(orchdSettingsSchema, value)).toEqual([
      `${where} is not known here; did you mean "${meant}"?`,
    ]);
  });

  it("in a pipeline", () => {
    expect(ofStep({ run: "x", env: { X: { secrt: "y" } } })).toEqual([
      'steps.a.env.X.secrt is not known here; did you mean "secret"?',
    ]);
  });
});

it("a key that is missing and nowhere else is told as missing", () => {
  const places = { a: { engine: "nats", zzz: 1, key } };
  expect(told(orchdSettingsSchema, { places })).toEqual([
    "places.a.url is missing; it must be text or a list",
    expect.stringMatching(/^places\.a\.zzz is not known here; known are /),
  ]);
  expect(told(orchdSettingsSchema, { places: { a: { host: "x" } } })).toEqual([
    "places.a.engine is missing; it must be one of ssh, nats, redis",
  ]);
});
