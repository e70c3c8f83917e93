/** What a workshop finds, makes and removes: folders, the token, what an earlier process left. */
import {
  mkdirSync,
  readdirSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { STAGED_PREFIX } from "../../src/core/task.ts";
import { NamedFarPlaces } from "../../src/engine/far-places.ts";
import { openWorkshop, tokenOf } from "../../src/engine/workshop.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { silentLog } from "../../src/log.ts";
import { RunnerPool } from "../../src/places/pool/runner-pool.ts";
import { header } from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";

const RUN = "p@20261123T020000Z";

/** @param closes whether it is closed as the test ends, and not by the test */
function opened(runs: string, closes = true) {
  const lines: string[] = [];
  const workshop = openWorkshop({
    clock: systemClock,
    log: silentLog,
    runs,
    settings: DEFAULT_SETTINGS,
    epoch: 3,
    onFatal: (error) => {
      throw error;
    },
    onDurableLine: (durable) => void lines.push(durable.line.type),
  });
  if (closes) onTestFinished(() => workshop.close(true));
  return { workshop, lines };
}

it("removes results that nobody took, files of steps that ended, and nothing else", async () => {
  const { runs } = tempRoot();
  const { artifacts, scratch } = new RunStore(runs);
  for (const folder of [artifacts, scratch]) mkdirSync(folder, { recursive: true });
  for (const name of [`${STAGED_PREFIX}1`, `${STAGED_PREFIX}2`, "ab12"])
    writeFileSync(join(artifacts, name), "x");
  mkdirSync(join(scratch, "1-2"));
  writeFileSync(join(scratch, "1-2/out"), "x");
  opened(runs);
  await vi.waitFor(() =>
    expect([readdirSync(artifacts), readdirSync(scratch)]).toEqual([["ab12"], []]),
  );
});

it("makes the folders of its runners for nobody else to write", () => {
  const { runs } = tempRoot();
  opened(runs);
  const { artifacts, scratch } = new RunStore(runs);
  for (const folder of [artifacts, scratch])
    expect((statSync(folder).mode & 0o777).toString(8)).toBe(
      (0o750 & ~process.umask()).toString(8),
    );
});

it("has one token for one folder, whatever path leads to it, and another for another", () => {
  const { root, runs } = tempRoot();
  symlinkSync(runs, join(root, "link"));
  expect(tokenOf(join(root, "link"))).toBe(tokenOf(runs));
  expect(tokenOf(realpathSync(runs))).toMatch(/^orchd-[0-9a-f]{16}$/);
  expect(tokenOf(tempRoot().runs)).not.toBe(tokenOf(runs));
});

it("makes a run that waits until it is driven, once, and tells each durable line", async () => {
  const { runs } = tempRoot();
  const { workshop, lines } = opened(runs);
  const { at: _, ...order } = header(RUN, { a: [] }, { tags: [], trigger: { kind: "manual" } });
  const reserved = await workshop.reserve(order as never);
  expect(reserved.state.phase).toBe("submitted");
  expect(lines).toEqual(["run.submitted"]);
  await expect(workshop.reserve(order as never)).rejects.toThrow(/exist/);
  expect((await workshop.folded(RUN))!.state.run).toBe(RUN);
  expect(await workshop.folded("p@20261123T020001Z").catch(() => "none")).not.toHaveProperty(
    "state",
  );
  expect((await workshop.flavor({ flavor: "local", config: {} })).name).toBe("local");
});

it.each([true, false])("ends all its runners by force where it is told so: %s", async (force) => {
  const pool = vi.spyOn(RunnerPool.prototype, "close");
  const far = vi.spyOn(NamedFarPlaces.prototype, "close");
  onTestFinished(() => [pool, far].forEach((spy) => spy.mockRestore()));
  const { workshop } = opened(tempRoot().runs, false);
  await workshop.close(force);
  expect([...pool.mock.calls, ...far.mock.calls]).toEqual([[{ force }], [force]]);
});
