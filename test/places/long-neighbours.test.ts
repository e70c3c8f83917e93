/** Steps of one pipeline beside those of others that do not end, in a real runner. */
import { expect, it } from "vitest";
import { PoolRig } from "../support/pool-rig.ts";

it("forty brief steps end while five pipelines hold a thread each", async () => {
  const rig = new PoolRig({ threads: 8 });
  rig.module(
    "long",
    "export default () => (console.log('here'), new Promise((r) => setTimeout(r, 60_000)));",
  );
  rig.module("brief", "export default () => 1;");
  const long = Array.from({ length: 5 }, (_, index) =>
    rig.start("long", { pipeline: `long-${index}` }),
  );
  await Promise.all(long.map(({ firstLine }) => firstLine));
  for (let round = 0; round < 3; round += 1) {
    const brief = Array.from({ length: 40 }, () => rig.start("brief", { pipeline: "brief" }));
    const ends = await Promise.all(brief.map(({ ended }) => ended));
    expect(ends.every(({ result }) => result?.ok === true)).toBe(true);
  }
});
