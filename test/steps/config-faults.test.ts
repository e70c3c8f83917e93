/** What is said of an orchestrator's config that its class's own schema refuses. */
import { expect, it } from "vitest";
import * as z from "zod";
import { configFaults } from "../../src/steps/config-faults.ts";

const schema = z.strictObject({
  url: z.url(),
  size: z.number().int().min(1).max(9),
  zone: z.enum(["eu", "us"]),
  tags: z.array(z.string()).optional(),
  token: z.string().min(3).optional(),
  cluster: z
    .string()
    .refine((name) => name !== "old", "there is no such cluster")
    .optional(),
});
const GOOD = { url: "https://x.example", size: 3, zone: "eu" };

/** What is wrong, as it is told. */
function faults(config: unknown): string[] {
  const { error } = schema.safeParse(config);
  return configFaults(error?.issues ?? [], config, Object.keys(schema.shape));
}

it.each<[object, string[]]>([
  [{}, []],
  [{ url: "nope" }, ["url has an invalid URL"]],
  [{ url: 3 }, ["url must be text, not 3; put it in quotes"]],
  [{ size: undefined }, ["size is missing; it must be a number"]],
  [{ size: 0 }, ["size must be at least 1, not 0"]],
  [{ size: 10 }, ["size must be at most 9, not 10"]],
  [{ zone: "asia" }, ['zone must be one of eu, us, not "asia"']],
  [{ tags: ["a", 5] }, ["tags[1] must be text, not 5; put it in quotes"]],
  [{ token: "a" }, ["token must have at least 3 characters"]],
  [{ tokn: "abc" }, ['tokn is not known here, did you mean "token"?']],
  [{ x: 1 }, ["x is not known here"]],
  [{ cluster: "old" }, ["cluster: there is no such cluster"]],
])("%j", (more, told) => {
  expect(faults({ ...GOOD, ...more })).toEqual(told);
});

it("of a config that is no map says so of it", () => {
  expect(faults([])).toEqual(["it must be a map of keys and values, not a list"]);
});
