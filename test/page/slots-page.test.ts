/** Slots in a real browser: the axis, the marks, the reasons. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { at, madeUpRoot } from "../support/made-up-root.ts";
import type { TempRoot } from "../support/temp-root.ts";
import { expectForEverybody, openPage } from "./browser-rig.ts";

/** The made-up root, with a downtime. */
function withDowntime(): TempRoot {
  const root = madeUpRoot();
  const line = (time: string, type: string): string =>
    `${JSON.stringify({ at: time, type, pid: 1, epoch: 1, version: "0.1.0" })}\n`;
  mkdirSync(join(root.runs, ".orchd"), { recursive: true });
  writeFileSync(
    join(root.runs, ".orchd/daemon.jsonl"),
    line(at(0), "daemon.began") + line(at(3, 50), "daemon.lost") + line(at(4, 29), "daemon.began"),
  );
  return root;
}

const ETL = 'svg[aria-label^="Slots of etl"]';

describe.runIf(hasBrowser)("Slots", () => {
  const pages = withBrowser();

  it("has one mark a slot, by what became of it, and what comes ahead", async () => {
    const { browser } = await openPage(pages, "slots?span=24h", { root: withDowntime() });
    await browser.locator(`${ETL} .mark`).first().waitFor();
    const labels = await browser
      .locator(`${ETL} .mark`)
      .evaluateAll((marks) => marks.map((mark) => mark.getAttribute("aria-label") ?? ""));
    expect(labels.some((label) => /^etl, 0?\d+:00:00Z, fired.* completed/.test(label))).toBe(true);
    expect(labels.some((label) => label.includes("missed: it is too old"))).toBe(true);
    expect(await browser.locator(`${ETL} title`).first().textContent()).toContain("comes at");
    const downtime = browser.locator(".outage").first();
    expect(await downtime.textContent()).toContain("No daemon was up for 39m");
    expect(await browser.locator('.backdrop [fill="url(#hatch)"]').count()).toBe(1);
  });

  it("leads from a mark to its run, and from a reason to its backfill", async () => {
    const { browser } = await openPage(pages, "slots?span=24h");
    const reason = browser.locator(".reasons tr", { hasText: "it is too old" });
    await reason.waitFor();
    const backfill = new URL((await reason.locator("a.button").getAttribute("href"))!);
    expect(backfill.pathname).toBe("/backfill");
    expect(Object.fromEntries(backfill.searchParams)).toEqual({
      pipeline: "etl",
      from: at(6),
      to: at(8, 0, 1),
      which: "missing",
    });
    await browser.locator(`${ETL} .mark[href*="/runs/"]`).first().click();
    await expect.poll(() => new URL(browser.url()).pathname).toMatch(/^\/runs\/etl@/);
  });

  it("shows the worst of a cell with its count where marks would lie upon each other", async () => {
    const { browser } = await openPage(pages, "slots?span=35d");
    const marks = browser.locator(`${ETL} .mark`);
    await marks.first().waitFor();
    expect(await marks.first().getAttribute("aria-label")).toMatch(/^The worst of \d+ slots: etl/);
    expect(await browser.locator(`${ETL} text`).first().textContent()).toMatch(/^\d+$/);
  });

  it("has its span, its decisions and its zone in the address", async () => {
    const { browser } = await openPage(pages, "slots");
    await browser.getByRole("link", { name: "24 h" }).click();
    await browser.getByRole("link", { name: /^Not run/ }).click();
    await expect
      .poll(() => Object.fromEntries(new URL(browser.url()).searchParams))
      .toEqual({ span: "24h", decision: "not_run" });
    await browser.getByRole("link", { name: "Table" }).click();
    await browser.locator(".slot-table tbody tr").first().waitFor();
    const decisions = await browser.locator(".slot-table td:nth-child(3)").allInnerTexts();
    expect(new Set(decisions)).toEqual(new Set(["missed", "skipped"]));
    await browser.getByRole("link", { name: "Berlin: times as in Europe/Berlin" }).click();
    await expect
      .poll(() => browser.locator(".slot-table td a").first().innerText())
      .toMatch(/ Berlin$/);
  });

  it("goes from row to row and from mark to mark by keys", async () => {
    const { browser } = await openPage(pages, "slots?span=24h");
    await browser.locator(`${ETL} .mark`).first().waitFor();
    const label = (): Promise<string | null | undefined> =>
      browser.evaluate(() => document.activeElement?.getAttribute("aria-label"));
    await browser.keyboard.press("j");
    const first = await label();
    expect(first).toMatch(/^\w+, /);
    await browser.keyboard.press("Home");
    expect(await label()).not.toBe(first);
    await browser.locator("#tip").waitFor();
    expect(await browser.locator("#tip").innerText()).toContain("orchd why");
  });

  it("is for everybody, wide and narrow, in light and dark", async () => {
    const { browser } = await openPage(pages, "slots?span=24h", { root: withDowntime() });
    await browser.locator(`${ETL} .mark`).first().waitFor();
    await expectForEverybody(browser);
  });
});
