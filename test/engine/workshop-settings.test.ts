/** Settings that were read again reach what a workshop does from then on. */
import { expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { callMissedHook } from "../../src/engine/missed-hook.ts";
import { openWorkshop } from "../../src/engine/workshop.ts";
import { silentLog } from "../../src/log.ts";
import { tempRoot } from "../support/temp-root.ts";

vi.mock("../../src/engine/missed-hook.ts", () => ({
  callMissedHook: vi.fn<typeof callMissedHook>(),
}));

it("a hook that is called later gets the environment of now", () => {
  const workshop = openWorkshop({
    clock: systemClock,
    log: silentLog,
    runs: tempRoot().runs,
    settings: { ...DEFAULT_SETTINGS, env: { A: "old" } },
    epoch: 1,
    onFatal: (error) => {
      throw error;
    },
    onDurableLine: () => undefined,
  });
  onTestFinished(() => workshop.close(true));
  const environments = (): unknown[] => {
    workshop.missed({} as never, []);
    return vi.mocked(callMissedHook).mock.calls.map(([, , ports]) => ports.settingsEnv());
  };
  expect(environments()).toEqual([{ A: "old" }]);
  workshop.setSettings({ ...DEFAULT_SETTINGS, env: { A: "new" } });
  expect(environments()).toEqual([{ A: "new" }, { A: "new" }]);
});
