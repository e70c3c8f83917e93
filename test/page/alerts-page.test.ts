/** Alerts in a real browser: what fires, waits and was given up, silence, live, hostile texts. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import {
  alertOf,
  alertState,
  firingOf,
  rootWithAlerts,
  writeAlerts,
} from "../support/made-up-alerts.ts";
import { idOf, madeUpRoot } from "../support/made-up-root.ts";
import {
  expectForEverybody,
  expectNoSidewaysScroll,
  openPage,
  violationsOf,
} from "./browser-rig.ts";

describe.runIf(hasBrowser)("Alerts", () => {
  const pages = withBrowser();

  it("say how they are set up where nobody is told", async () => {
    const { browser } = await openPage(pages, "alerts");
    const text = browser.getByText("Nobody is told:");
    await text.waitFor();
    expect(await text.innerText()).toContain("docs/alerts.md");
    expect(await violationsOf(browser)).toEqual([]);
  });

  it("show what fires, waits, was given up and sent, with links", async () => {
    const { browser } = await openPage(pages, "alerts", { root: await rootWithAlerts() });
    await browser.getByText("Nothing is sent:").waitFor();
    const rows = async (name: string): Promise<string[]> =>
      (await browser.getByRole("region", { name }).locator("tbody tr").allInnerTexts()).map((row) =>
        row.replaceAll(/\s+/g, " "),
      );
    expect(await rows("Firing")).toEqual([
      expect.stringContaining("no: it is a quiet hour"),
      expect.stringContaining("channel broken"),
      expect.stringContaining(`${idOf("etl", 2)} 7h 5`),
    ]);
    expect(await rows("Waiting")).toEqual([
      expect.stringMatching(/^chat .*missed × 3 .* in (1h|59m \d+s) /),
    ]);
    expect(await rows("Given up")).toEqual([expect.stringContaining("404: there is no such hook")]);
    expect(await rows("Sent")).toEqual([expect.stringContaining("ops")]);
    expect(await rows("Silent")).toEqual([expect.stringContaining("alice we know End…")]);
    expect(await rows("Channels")).toEqual([
      expect.stringContaining("chat slack ✗ broken"),
      expect.stringContaining("idle webhook ○ not used yet"),
      expect.stringContaining("ops mail ✓ works"),
    ]);
    const region = browser.getByRole("region", { name: "Given up" });
    await region.getByRole("link", { name: idOf("etl", 2) }).click();
    await expect.poll(() => new URL(browser.url()).pathname).toBe(`/runs/${idOf("etl", 2)}`);
  });

  it("are said in a sentence on the Overview, which leads here", async () => {
    const { browser } = await openPage(pages, "", { root: await rootWithAlerts() });
    await browser
      .getByRole("link", {
        name: "1 message to people was given up, and channel chat takes no messages.",
      })
      .click();
    await expect.poll(() => new URL(browser.url()).pathname).toBe("/alerts");
  });

  it("ask the daemon to silence a pipeline, and to end it", async () => {
    const root = await rootWithAlerts();
    const { browser } = await openPage(pages, "alerts", { root });
    await browser.getByRole("button", { name: "Silence…" }).first().click();
    const dialog = browser.getByRole("dialog");
    expect(await dialog.innerText()).toContain("orchd silence etl --for 2h");
    await dialog.getByRole("button", { name: "Silence it" }).click();
    const requests = (): unknown[] =>
      readdirSync(join(root.runs, ".orchd/requests"))
        .filter((name) => name.endsWith(".json"))
        .map((name) => JSON.parse(readFileSync(join(root.runs, ".orchd/requests", name), "utf8")));
    await expect
      .poll(requests)
      .toMatchObject([
        { type: "silence", pipeline: "etl", until: expect.stringMatching(/^\d{4}-.*Z$/) },
      ]);
    await dialog.getByRole("button", { name: "Close" }).click();
    await browser.getByRole("button", { name: "End…" }).click();
    await browser.getByRole("button", { name: "End the silence" }).click();
    await expect.poll(() => requests().length).toBe(2);
    expect(requests()).toContainEqual(expect.objectContaining({ until: null }));
  });

  it("offer no silence where the page only shows", async () => {
    const { browser } = await openPage(pages, "alerts", {
      root: await rootWithAlerts(),
      allowRequests: false,
    });
    await browser.getByText("Nothing is sent:").waitFor();
    expect(await browser.getByRole("button", { name: "Silence…" }).count()).toBe(0);
  });

  it("are told again as notify.jsonl grows, and j and k go from row to row", async () => {
    const root = madeUpRoot();
    await writeAlerts(root, [[alertOf(1)]]);
    const { browser } = await openPage(pages, "alerts", { root });
    await browser.getByText("No message was given up.").waitFor();
    await browser.waitForTimeout(1_200);
    await writeAlerts(root, [[alertOf(2), { how: "gave_up", because: "it is gone for good" }]]);
    await browser.getByText("it is gone for good").first().waitFor({ timeout: 6_000 });
    for (const _ of [1, 2]) await browser.keyboard.press("j");
    const row = await browser.evaluate(() =>
      document.activeElement?.closest("[data-row]")?.getAttribute("data-row"),
    );
    expect(row).toBe("channel_broken null");
  });

  it("show hostile texts as text", async () => {
    const evil = '<img src=x onerror="document.title=1">\u202e\u001b[31m javascript:alert(1)';
    const state = alertState();
    state.pipelines.set("evil", {
      firing: new Map([["failed", firingOf({ because: evil.repeat(100), run: evil })]]),
      waits: new Map(),
    });
    const lost = alertOf(9, { because: evil, channel: evil, pipeline: evil, run: evil });
    const root = await rootWithAlerts([[lost, { how: "gave_up", because: evil }]], state);
    const { browser } = await openPage(pages, "alerts", { root });
    const region = browser.getByRole("region", { name: "Given up" });
    expect(await region.locator("tbody").innerText()).toContain("<img src=x");
    expect(await browser.locator("article img").count()).toBe(0);
    const text = await browser.locator("article").innerText();
    expect(text).not.toMatch(/[\u001b\u202e]/);
    const links = await browser
      .locator("article a")
      .evaluateAll((all) => all.map((one) => new URL((one as HTMLAnchorElement).href).protocol));
    expect(new Set(links)).toEqual(new Set(["http:"]));
    await expectNoSidewaysScroll(browser);
  });

  it("are for everybody, wide and narrow, in light and dark", async () => {
    const { browser } = await openPage(pages, "alerts", { root: await rootWithAlerts() });
    await browser.getByRole("region", { name: "Channels" }).waitFor();
    await expectForEverybody(browser);
  });
});
