/** The frame in a real browser: what is up, what is live, where one can go. */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { at, madeUpRoot } from "../support/made-up-root.ts";
import { openPage, violationsOf } from "./browser-rig.ts";

/** Appends a line to a pipeline's ledger, as its daemon would. */
function append(runs: string, pipeline: string, event: Readonly<Record<string, unknown>>): void {
  const path = join(runs, pipeline, "pipeline.jsonl");
  const last = JSON.parse(readFileSync(path, "utf8").trimEnd().split("\n").at(-1)!) as {
    seq: number;
    crc: string;
  };
  const seq = last.seq + 1;
  const open = JSON.stringify({ seq, b: seq, ...event }).slice(0, -1);
  const crc = crc32(Buffer.from(open), Number.parseInt(last.crc, 16));
  appendFileSync(path, `${open},"crc":"${crc.toString(16).padStart(8, "0")}"}\n`);
}

describe.runIf(hasBrowser)("the frame", () => {
  const pages = withBrowser();

  it("says that no daemon is up, and that requests wait", async () => {
    const { browser } = await openPage(pages, "alerts");
    await browser.locator(".daemon.down").waitFor();
    expect(await browser.locator(".notices").innerText()).toContain("No daemon is up.");
    await browser.getByText("Nobody is told:").waitFor();
  });

  it("follows the ledgers as lines become durable, and keeps what is typed", async () => {
    const { browser, root } = await openPage(pages, "");
    await browser.locator('[data-name="held"]').waitFor();
    await expect.poll(() => browser.locator(".foot").innerText()).toContain("live");
    const search = browser.getByRole("searchbox");
    await search.fill("half a wo");
    append(root.runs, "held", {
      at: at(9, 59),
      type: "pipeline.resumed",
      because: "asked by hand",
    });
    const next = browser.locator('[data-name="held"] .c-next');
    await expect.poll(() => next.innerText(), { timeout: 10_000 }).not.toContain("paused");
    expect(await search.inputValue()).toBe("half a wo");
    expect(await search.evaluate((input) => document.activeElement === input)).toBe(true);
  });

  it.each([
    ["backfill?pipeline=held", "status", { from: "2026-11", to: "no", maxActive: "3" }],
    ["diff?a=etl@1", "runs", { a: "etl@2026", b: "etl@" }],
  ])("keeps what is typed into the form of %s, whatever is new", async (path, route, typed) => {
    const { browser } = await openPage(pages, path, { expects: /404/ });
    const answer = (): Promise<unknown> =>
      browser.waitForResponse((one) => one.url().includes(`/api/v1/${route}`));
    const fields = Object.entries(typed).map(
      ([name, text]) => [browser.locator(`input[name=${name}]`), text] as const,
    );
    for (const [field, text] of fields) await field.fill(text);
    const kind = browser.locator("select");
    if ((await kind.count()) > 0) await kind.selectOption("failed");
    // As where a tab is seen again: everything is asked anew.
    const asked = answer();
    for (const isHidden of [true, false])
      await browser.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
      }, isHidden);
    await asked;
    await browser.evaluate(
      () => new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(end))),
    );
    for (const [field, text] of fields) expect(await field.inputValue()).toBe(text);
    if ((await kind.count()) > 0) expect(await kind.inputValue()).toBe("failed");
  });

  it("is printed dark on white with its colours, and without what can be pressed", async () => {
    const { browser } = await openPage(pages, "runs");
    await browser.locator("tbody tr").first().waitFor();
    const theme = browser.getByRole("button", { name: /^Colours/ });
    await theme.click();
    await theme.click();
    const look = (): Promise<readonly unknown[]> =>
      browser.evaluate(() => {
        const { color, backgroundColor } = getComputedStyle(document.documentElement);
        const { printColorAdjust } = getComputedStyle(document.querySelector("td")!);
        const pressed = [...document.querySelectorAll("nav, button, .search")];
        const seen = pressed.filter((one) => one.getClientRects().length > 0).length;
        return [color, backgroundColor, printColorAdjust, seen > 0];
      });
    expect((await look())[0]).toBe("rgb(232, 234, 236)");
    await browser.emulateMedia({ media: "print" });
    expect(await look()).toEqual(["rgb(22, 25, 29)", "rgb(255, 255, 255)", "exact", false]);
    // The zone that times are in stays.
    expect(await browser.locator(".top").innerText()).toContain("UTC");
  });

  it("shows a button that cannot be pressed as one, also where it is the chief one", async () => {
    const { browser } = await openPage(pages, "pipelines/held", { allowRequests: false });
    const run = browser.getByRole("button", { name: /^Run held/ });
    await run.waitFor();
    const look = await run.evaluate((it) => {
      const { borderTopStyle, backgroundColor } = getComputedStyle(it);
      return [it.getAttribute("aria-disabled"), borderTopStyle, backgroundColor];
    });
    expect(look).toEqual(["true", "dashed", "rgb(255, 255, 255)"]);
  });

  it("hides nothing that has the focus behind its head", async () => {
    const { browser } = await openPage(pages, "pipelines/held");
    await browser.setViewportSize({ width: 1_200, height: 500 });
    await browser.getByText("Versions of its file").waitFor();
    await browser.evaluate(() => globalThis.scrollTo(0, document.body.scrollHeight));
    const tops: number[] = [];
    for (;;) {
      await browser.keyboard.press("Shift+Tab");
      const top = await browser.evaluate(() => {
        const { activeElement: one } = document;
        return one?.closest("main") ? one.getBoundingClientRect().top : undefined;
      });
      if (top === undefined) break;
      tops.push(top);
    }
    expect(tops.length).toBeGreaterThan(10);
    const head = await browser.locator(".top").boundingBox();
    expect(Math.min(...tops)).toBeGreaterThanOrEqual(head!.height);
  });

  it("says when it is not live, and comes back by itself", async () => {
    const { browser } = await openPage(pages, "", { expects: /ERR_|Failed to load/ });
    await expect.poll(() => browser.locator(".foot").innerText()).toContain("live");
    await browser.route("**/api/v1/**", (route) => route.abort());
    await browser.reload();
    await browser.locator(".daemon.unknown").waitFor();
    await browser.locator(".notices").getByText("Not live.").waitFor();
    await browser.unroute("**/api/v1/**");
    await expect
      .poll(() => browser.locator(".foot").innerText(), { timeout: 40_000 })
      .toContain("live,");
    await expect.poll(() => browser.locator(".notices").innerText()).not.toContain("Not live.");
  });

  it("asks again soon for what the network lost", async () => {
    const { browser, root } = await openPage(pages, "", {
      expects: /ERR_FAILED/,
      root: madeUpRoot(),
    });
    await browser.locator('[data-name="held"]').waitFor();
    await browser.route(/assets\/pipeline-.*\.js/, (route) => route.abort(), { times: 1 });
    await browser.locator('[data-name="held"] a').first().click();
    await browser.getByRole("button", { name: "Resume" }).waitFor();
    await browser.evaluate(() => {
      const real = globalThis.fetch;
      globalThis.fetch = async (...asked) => {
        if (!String(asked[0]).endsWith("/pipelines/held")) return real(...asked);
        globalThis.fetch = real;
        throw new TypeError("the network changed");
      };
    });
    append(root.runs, "held", {
      at: at(9, 59),
      type: "pipeline.resumed",
      because: "asked by hand",
    });
    const pause = browser.getByRole("button", { name: "Pause" });
    await expect.poll(() => pause.count(), { timeout: 12_000 }).toBe(1);
  });

  it("says that it is loading where its code does not come, and no longer", async () => {
    const { browser } = await openPage(pages, "alerts", { expects: /ERR_FAILED/ });
    const loading = browser.getByText("If this stays, its code did not come");
    await browser.getByText("Nobody is told:").waitFor();
    expect(await loading.count()).toBe(0);
    await browser.route(/assets\/main-.*\.js/, (route) => route.abort());
    await browser.reload();
    await loading.waitFor();
  });

  it("says what is missing without a token, and for an address that is no page", async () => {
    const { browser, url } = await openPage(pages, "", { expects: /401/ });
    const bare = new URL(url(""));
    // Where the code comes late, it would keep the token after that.
    await browser.locator("main h2").first().waitFor();
    await browser.evaluate(() => sessionStorage.clear());
    await browser.goto("about:blank");
    await browser.goto(bare.origin);
    await expect.poll(() => browser.locator("main").innerText()).toMatch(/token/);
    await browser.goto(`${bare.origin}/no/such/page`);
    await expect.poll(() => browser.locator("main").innerText()).toContain("There is no such page");
  });

  it("works below a path of a reverse proxy", async () => {
    const { browser } = await openPage(pages, "slots?span=24h", { base: "/ops/orchd" });
    await browser.locator(".grid .mark").first().waitFor();
    await browser.getByRole("link", { name: "Alerts" }).click();
    await browser.getByText("Nobody is told:").waitFor();
    expect(new URL(browser.url()).pathname).toBe("/ops/orchd/alerts");
    await browser.reload();
    await browser.getByText("Nobody is told:").waitFor();
  });

  it("keeps the chosen colours, and the zone from page to page", async () => {
    const { browser } = await openPage(pages, "alerts");
    const theme = browser.getByRole("button", { name: /^Colours/ });
    await theme.click();
    await theme.click();
    expect(await browser.locator("html").getAttribute("data-theme")).toBe("dark");
    expect(await violationsOf(browser)).toEqual([]);
    await browser.getByRole("link", { name: /^mine/ }).click();
    await browser.getByRole("link", { name: "Runs", exact: true }).click();
    expect(new URL(browser.url()).searchParams.get("zone")).toBe("mine");
    await browser.reload();
    expect(await browser.locator("html").getAttribute("data-theme")).toBe("dark");
  });

  it("asks nothing while its tab is hidden", async () => {
    const { browser, root } = await openPage(pages, "", { root: madeUpRoot() });
    await expect.poll(() => browser.locator(".foot").innerText()).toContain("live");
    await browser.evaluate(() => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    const asked: string[] = [];
    browser.on("request", (request) => asked.push(request.url()));
    append(root.runs, "held", {
      at: at(9, 59),
      type: "pipeline.resumed",
      because: "asked by hand",
    });
    // A page that is seen asks within half a second of a line.
    await browser.waitForTimeout(1_500);
    expect(asked).toEqual([]);
    await browser.evaluate(() => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => false });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    const next = browser.locator('[data-name="held"] .c-next');
    await expect.poll(() => next.innerText(), { timeout: 10_000 }).not.toContain("paused");
  });
});
