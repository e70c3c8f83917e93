import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { OrchdSettings } from "../../src/core/settings.ts";
import { LiveSettings } from "../../src/engine/live-settings.ts";
import { silentLog } from "../../src/log.ts";
import { loadSettings } from "../../src/schedules/load-settings.ts";
import { tempRoot } from "../support/temp-root.ts";

it("are read again one time after the other, also after one that failed", async () => {
  const { root, runs } = tempRoot({ "orchd.yaml": "timezone: UTC\n" });
  const bundlesDir = join(runs, ".orchd/bundles");
  const read = await loadSettings(root, bundlesDir);
  if (!read.ok) throw new Error("orchd.yaml is bad");
  const log = silentLog;
  const live = new LiveSettings(read.settings, { root, bundlesDir, log, problems: [] });
  const seen: string[] = [];
  const reload = (name: string, end: () => Promise<void>): Promise<void> =>
    live.reload(async () => {
      seen.push(`${name} begins`);
      // As long as another one takes to come here.
      for (let nth = 0; nth < 3; nth += 1) await loadSettings(root, bundlesDir);
      seen.push(`${name} ends`);
      await end();
    });
  const first = reload("first", () => Promise.reject(new Error("no")));
  const second = reload("second", () => Promise.resolve());
  await expect(first).rejects.toThrow("no");
  await second;
  expect(seen).toEqual(["first begins", "first ends", "second begins", "second ends"]);
});

it("are read again, put in force as a whole, or kept where the file is bad", async () => {
  const { root, runs } = tempRoot({ "orchd.yaml": "timezone: Europe/Berlin\n" });
  const file = join(root, "orchd.yaml");
  const bundlesDir = join(runs, ".orchd/bundles");
  const said: string[] = [];
  const say = (_: object, text: string): void => void said.push(text);
  const read = await loadSettings(root, bundlesDir);
  if (!read.ok) throw new Error("orchd.yaml is bad");
  const log = { ...silentLog, error: say, warn: say, info: say };
  const live = new LiveSettings(read.settings, { root, bundlesDir, log, problems: [] });
  const applied: OrchdSettings[] = [];
  const apply = (settings: OrchdSettings): Promise<void> => {
    // Who applies them already finds them in force.
    expect(live.current).toBe(settings);
    applied.push(settings);
    return Promise.resolve();
  };
  expect(said).toEqual([]);

  writeFileSync(file, "timezone: UTC\ndrainPeriod: 5s\n");
  await live.reload(apply);
  expect(live.current).toMatchObject({ timezone: "UTC", drainPeriodMs: 5_000 });
  expect(said.splice(0)).toEqual(["orchd.yaml was read again"]);

  writeFileSync(file, "timezone: Nowhere/Here\ndrainPeriod: 7s\n");
  await live.reload(apply);
  expect(live.current).toMatchObject({ timezone: "UTC", drainPeriodMs: 5_000 });
  expect(said.splice(0)).toEqual([
    expect.stringMatching(/orchd\.yaml:1:.*Nowhere.*; the settings that were in force stay$/),
  ]);

  // The sign in such a name is reversed, which is probably not what was meant.
  writeFileSync(file, "timezone: Etc/GMT+5\n");
  await live.reload(apply);
  expect(said.splice(0)).toEqual([
    expect.stringMatching(/^orchd\.yaml: .*Etc\/GMT\+5/),
    "orchd.yaml was read again",
  ]);

  rmSync(file);
  await live.reload(apply);
  expect(live.current.drainPeriodMs).toBe(30_000);
  expect(applied).toHaveLength(3);
});
