/** What `orchd place prepare` says where there is nothing to prepare. */
import { expect, it } from "vitest";
import { preparePlace } from "../../daemon/prepare-place.ts";
import { tempRoot } from "../support/temp-root.ts";

const FARM =
  "places:\n  farm: { engine: nats, url: 'nats://127.0.0.1:4222', key: { secret: farm_key } }\n";

it.each([
  [FARM, "frm", 'orchd.yaml has no place "frm"; did you mean "farm"?'],
  ["", "box", 'orchd.yaml has no place "box": it has none.'],
  [FARM, "farm", "farm is a place of nats, whose machines need no preparation"],
  ["places: 1\n", "box", "places must be a map"],
])("of %j, asked for %s, it says why, and exits with 2", async (text, place, sentence) => {
  const { root, runs } = tempRoot({ "orchd.yaml": text });
  const told: string[] = [];
  const status = await preparePlace({
    root,
    runs,
    schedules: `${root}/schedules`,
    place,
    done: () => expect.unreachable(),
    tell: (line) => void told.push(line),
  });
  expect(status).toBe(2);
  expect(told.join("\n")).toContain(sentence);
});
