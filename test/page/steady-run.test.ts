/** A run of a thousand steps, and one that changes under the pointer, in a real browser. */
import { appendFileSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import {
  header,
  ledgerText,
  loaded,
  runPath,
  writePipeline,
  writeRun,
  type HandEvent,
} from "../support/hand-ledger.ts";
import { tempRoot } from "../support/temp-root.ts";
import { openPage } from "./browser-rig.ts";

const RUN = "p@20261128T020000Z";
const STEPS = 1_000;
const pages = withBrowser();

describe.runIf(hasBrowser)("a run", () => {
  it("of 1,000 steps draws those in view alone, and reaches them all", async () => {
    const names = Array.from({ length: STEPS }, (_, index) => `step-${index}`);
    const root = tempRoot();
    writePipeline(root.runs, "p", [loaded("0 2 * * *")]);
    writeRun(root.runs, RUN, [
      header(RUN, Object.fromEntries(names.map((name) => [name, []]))),
      { type: "run.started", because: "the slot is due" },
      ...names.flatMap((step, index): HandEvent[] => [
        { type: "step.started", step, attempt: 1, because: "the run began" },
        index % 100 === 7
          ? {
              type: "step.failed",
              step,
              attempt: 1,
              error: { name: "ExitError", message: `status ${index}` },
              because: "no retry is left",
            }
          : { type: "step.completed", step, attempt: 1, outputs: {}, durationMs: 900 },
      ]),
    ]);
    const { browser } = await openPage(pages, `runs/${RUN}`, { root });
    const list = browser.getByRole("group", { name: "Steps", exact: true });
    await list.getByRole("link", { name: "step-0", exact: true }).waitFor();
    await browser.getByRole("group", { name: "Attempts and waits" }).waitFor();
    const ledger = browser.getByRole("group", { name: "The ledger's lines" });
    await ledger.evaluate((element) => element.scrollTo(0, 1e9));
    await ledger.getByText(String(2 * STEPS + 2), { exact: true }).waitFor();
    const drawn = await browser.locator(".step-row, .g-r").count();
    expect(drawn).toBeLessThan(150);
    await list.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await list.getByRole("link", { name: `step-${STEPS - 1}`, exact: true }).waitFor();
    await browser.getByRole("link", { name: "failed 10", exact: true }).click();
    await browser.waitForFunction(() => document.querySelectorAll(".step-row").length === 10);
    expect(new URL(browser.url()).searchParams.get("only")).toBe("failed");
  });

  it("that fails moves nothing under the pointer", async () => {
    const root = tempRoot();
    const begun: HandEvent[] = [
      header(RUN, { pull: [], join: ["pull"] }),
      { type: "run.started", because: "the slot is due" },
      { type: "step.started", step: "pull", attempt: 1, because: "the run began" },
    ];
    const error = { name: "ExitError", message: "status 69" };
    const failed: HandEvent[] = [
      { type: "step.failed", step: "pull", attempt: 1, error, because: "no retry is left" },
      { type: "step.skipped", step: "join", because: 'upstream step "pull" failed' },
      { type: "run.finished", status: "failed", because: 'step "pull" failed', durationMs: 9 },
    ];
    writePipeline(root.runs, "p", [loaded("0 2 * * *")]);
    writeRun(root.runs, RUN, begun);
    const { browser } = await openPage(pages, `runs/${RUN}`, { root });
    const title = browser.getByRole("heading", { level: 1 });
    await title.filter({ hasText: "running" }).waitFor();
    const cache = browser.getByRole("heading", { name: /^Cache/ });
    await cache.hover();
    const before = await cache.boundingBox();
    const whole = ledgerText([...begun, ...failed]);
    const path = runPath(root.runs, RUN);
    appendFileSync(path, whole.slice(readFileSync(path, "utf8").length));
    await title.filter({ hasText: "failed" }).waitFor();
    expect(await cache.boundingBox()).toEqual(before);
    expect(await browser.getByRole("heading", { name: "Why it failed" }).count()).toBe(0);
    await title.hover();
    await browser.getByRole("heading", { name: "Why it failed" }).waitFor();
  });
});
