/** Settings that were read again reach what a workshop does from then on. */
import { expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { callMissedHook } from "../../src/engine/missed-hook.ts";
import { openWorkshop, type Workshop } from "../../src/engine/workshop.ts";
import { silentLog } from "../../src/log.ts";
import { RunLoop } from "../../src/run/run-loop.ts";
import type { RunDeps } from "../../src/run/run-deps.ts";
import { tempRoot } from "../support/temp-root.ts";

vi.mock("../../src/engine/missed-hook.ts", () => ({
  callMissedHook: vi.fn<typeof callMissedHook>(),
}));

const OLD = { ...DEFAULT_SETTINGS, env: { A: "old" } };

function opened(): Workshop {
  const workshop = openWorkshop({
    clock: systemClock,
    log: silentLog,
    runs: tempRoot().runs,
    settings: OLD,
    epoch: 1,
    onFatal: (error) => {
      throw error;
    },
    onDurableLine: () => undefined,
  });
  onTestFinished(() => workshop.close(true));
  return workshop;
}

it("a hook that is called later gets the environment of now", () => {
  const workshop = opened();
  const environments = (): unknown[] => {
    workshop.missed({} as never, []);
    return vi.mocked(callMissedHook).mock.calls.map(([, , ports]) => ports.settingsEnv());
  };
  expect(environments()).toEqual([{ A: "old" }]);
  workshop.setSettings({ ...DEFAULT_SETTINGS, env: { A: "new" } });
  expect(environments()).toEqual([{ A: "new" }, { A: "new" }]);
});

it("runs get the settings of now, those that were made or taken over before too", async () => {
  const given: RunDeps[] = [];
  const make = vi.spyOn(RunLoop, "create").mockImplementation((_, deps) => {
    given.push(deps);
    return Promise.reject(new Error("not now"));
  });
  const recover = vi.spyOn(RunLoop, "recover").mockImplementation((_, deps) => {
    given.push(deps);
    return Promise.resolve(undefined);
  });
  onTestFinished(() => {
    make.mockRestore();
    recover.mockRestore();
  });
  const workshop = opened();
  await expect(workshop.maker.create({} as never)).rejects.toThrow("not now");
  expect(given[0]!.settings).toBe(OLD);
  const next = { ...DEFAULT_SETTINGS, env: { A: "new" } };
  workshop.setSettings(next);
  await expect(workshop.maker.create({} as never)).rejects.toThrow("not now");
  expect(await workshop.maker.recover("p@1")).toBeUndefined();
  expect(given.map(({ settings }) => settings)).toEqual([next, next, next]);
});
