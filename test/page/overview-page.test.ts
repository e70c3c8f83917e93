/** Overview in a real browser: the five answers, the rows, the filters, the keys. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";
import { at, idOf } from "../support/made-up-root.ts";
import { tempRoot, type TempRoot } from "../support/temp-root.ts";
import { expectForEverybody, openPage } from "./browser-rig.ts";

const ROW = ".pipelines [data-name]";

/** A root of many pipelines, every third of which failed. */
function manyPipelines(count: number): TempRoot {
  const root = tempRoot();
  for (let index = 0; index < count; index += 1) {
    const name = `pipe-${String(index).padStart(4, "0")}`;
    const run = idOf(name, 9);
    writePipeline(root.runs, name, [
      { ...loaded("0 * * * *"), at: at(1) },
      { type: "slot.fired", at: at(9, 0, 1), slot: at(9), run, because: "its slot was due" },
      {
        type: "run.finished",
        at: at(9, 1),
        run,
        status: index % 3 === 0 ? "failed" : "completed",
        durationMs: 1_000,
      },
    ]);
  }
  return root;
}

describe.runIf(hasBrowser)("Overview", () => {
  const pages = withBrowser();

  it("answers the five questions in sentences", async () => {
    const { browser } = await openPage(pages, "");
    const answers = browser.locator(".question");
    await answers.first().waitFor();
    const texts = (await answers.allInnerTexts()).map((text) => text.replaceAll(/\s+/g, " "));
    expect(texts[0]).toContain("Did it run? 5 of 9 slots ran in 9 hours; 1 of them late.");
    expect(texts[1]).toContain("1 run failed; 3 slots missed: it is too old; 1 skipped.");
    expect(texts[2]).toContain("etl");
    expect(texts[2]).toContain("1 of 2 steps");
    // The page's clock goes on.
    expect(texts[3]).toMatch(/in (?:1h|59m \d\ds)/);
    expect(texts[4]).toContain("held was paused by alice.");
    expect(await browser.title()).toBe("Overview · orchd");
  });

  it("takes the token out of the address", async () => {
    const { browser } = await openPage(pages, "?state=need");
    await browser.locator(ROW).first().waitFor();
    expect(new URL(browser.url()).hash).toBe("");
    await browser.reload();
    await browser.locator(ROW).first().waitFor();
    expect(await browser.locator(ROW).count()).toBe(1);
  });

  it("shows those that need somebody first, and has its filters in the address", async () => {
    const { browser } = await openPage(pages, "");
    await browser.locator(ROW).first().waitFor();
    const names = (): Promise<(string | null)[]> =>
      browser.locator(ROW).evaluateAll((rows) => rows.map((row) => row.getAttribute("data-name")));
    expect(await names()).toEqual(["bad", "etl", "held", "new"]);
    await browser.getByRole("link", { name: "Paused: 1 pipeline" }).click();
    expect(await names()).toEqual(["held"]);
    expect(new URL(browser.url()).searchParams.get("state")).toBe("paused");
    await browser.goBack();
    await expect.poll(names).toHaveLength(4);
  });

  it("marks each slot with a link, and tells its story", async () => {
    const { browser } = await openPage(pages, "");
    const marks = browser.locator('[data-name="etl"] .mark');
    await marks.first().waitFor();
    expect(await marks.first().getAttribute("aria-label")).toMatch(/^02:00:00Z|^01:00:00Z/);
    expect(await marks.nth(0).getAttribute("href")).toContain("/runs/etl@");
    // From the keyboard: one stop of the Tab key a strip, then the arrows.
    await marks.last().focus();
    await browser.keyboard.press("ArrowLeft");
    await browser.locator("#tip").waitFor();
    expect(await browser.locator("#tip").innerText()).toContain("etl");
    await browser.keyboard.press("ArrowDown");
    expect(await browser.evaluate(() => document.activeElement?.closest("#tip") !== null)).toBe(
      true,
    );
    await browser.keyboard.press("Escape");
    await expect.poll(() => browser.locator("#tip").count()).toBe(0);
  });

  it("is used with the keys alone: j, k, Enter, ?, /", async () => {
    const { browser } = await openPage(pages, "");
    await browser.locator(ROW).first().waitFor();
    const focused = (): Promise<string | null | undefined> =>
      browser.evaluate(() => document.activeElement?.textContent);
    await browser.keyboard.press("j");
    await expect.poll(focused).toBe("bad");
    await browser.keyboard.press("j");
    await expect.poll(focused).toBe("etl");
    await browser.keyboard.press("k");
    await expect.poll(focused).toBe("bad");
    await browser.keyboard.press("?");
    expect(await browser.getByRole("dialog").innerText()).toContain("the next row");
    await browser.keyboard.press("Escape");
    await browser.keyboard.press("/");
    await browser.keyboard.type("jkr?");
    expect(await browser.getByRole("searchbox").inputValue()).toBe("jkr?");
  });

  it("asks before it runs or pauses, with the command that does the same", async () => {
    const { browser, root } = await openPage(pages, "");
    await browser.locator(ROW).first().waitFor();
    // What the page may ask for comes apart from the rows.
    await browser.locator("kbd", { hasText: /^p$/ }).waitFor();
    await browser.locator('[data-name="etl"] a.name').focus();
    await browser.keyboard.press("p");
    const dialog = browser.getByRole("dialog");
    expect(await dialog.innerText()).toContain("orchd pause etl");
    await browser.keyboard.press("Escape");
    const requests = (): string[] => {
      const folder = join(root.runs, ".orchd/requests");
      try {
        // A dot-name is one that is being written.
        const names = readdirSync(folder).filter((name) => !name.startsWith("."));
        return names.map((name) => readFileSync(join(folder, name), "utf8"));
      } catch {
        return [];
      }
    };
    expect(requests()).toEqual([]);
    await browser.keyboard.press("r");
    expect(await dialog.innerText()).toContain("orchd run etl");
    await dialog.getByRole("button", { name: "Run it" }).click();
    await expect.poll(requests).toHaveLength(1);
    expect(JSON.parse(requests()[0]!)).toMatchObject({ type: "submit", pipeline: "etl" });
    await expect.poll(() => dialog.innerText()).toContain("The request is left");
  });

  it("offers nothing to ask for where requests are not allowed", async () => {
    const { browser } = await openPage(pages, "", { allowRequests: false });
    await browser.locator(ROW).first().waitFor();
    await browser.locator('[data-name="etl"] a.name').focus();
    await browser.keyboard.press("r");
    expect(await browser.getByRole("dialog").count()).toBe(0);
  });

  it("keeps rows where they are while the pointer is on them", async () => {
    const { browser, root } = await openPage(pages, "", { root: manyPipelines(6) });
    await browser.locator(ROW).first().waitFor();
    const order = (): Promise<string[]> =>
      browser.locator(ROW).evaluateAll((rows) => rows.map((row) => row.getAttribute("data-name")!));
    const before = await order();
    await browser.locator('[data-name="pipe-0004"]').hover();
    const run = idOf("pipe-0005", 9, 30);
    writePipeline(root.runs, "pipe-0005", [
      { ...loaded("0 * * * *"), at: at(1) },
      { type: "slot.fired", at: at(9, 30, 1), slot: at(9, 30), run, because: "its slot was due" },
      { type: "run.finished", at: at(9, 31), run, status: "failed", durationMs: 1_000 },
    ]);
    await browser.locator('[data-name="pipe-0005"].hot').waitFor({ timeout: 30_000 });
    expect(await order()).toEqual(before);
    await browser.mouse.move(5, 5);
    await expect.poll(order).not.toEqual(before);
    expect((await order()).indexOf("pipe-0005")).toBeLessThan(before.indexOf("pipe-0005"));
  });

  it("draws only the rows in sight of a thousand, and finds the others by scrolling", async () => {
    const { browser } = await openPage(pages, "", { root: manyPipelines(1_000) });
    await browser.locator(ROW).first().waitFor();
    expect(await browser.locator(ROW).count()).toBeLessThan(60);
    await browser.evaluate(() => scrollTo(0, document.body.scrollHeight));
    const last = browser.locator('[data-name="pipe-0998"]');
    await last.waitFor();
    // Its strip did not come with the view.
    await last.locator(".mark").first().waitFor();
  });

  it("shows every time in the chosen zone, and never without its name", async () => {
    const { browser } = await openPage(pages, "?zone=Asia/Tokyo", {
      browser: { timezoneId: "America/New_York" },
    });
    await browser.locator(ROW).first().waitFor();
    const foot = browser.locator(".foot");
    expect(await foot.innerText()).toContain("at 19:00:00 Tokyo");
    await browser.getByRole("link", { name: "UTC: times in UTC" }).click();
    await expect.poll(() => foot.innerText()).toContain("at 10:00:00Z");
    await browser.getByRole("link", { name: /^mine/ }).click();
    await expect.poll(() => foot.innerText()).toContain("at 05:00:00 New York");
  });

  it("shows hostile names and reasons as text", async () => {
    const root = tempRoot();
    writePipeline(root.runs, "odd", [
      { ...loaded("0 * * * *"), at: at(1) },
      {
        type: "slot.skipped",
        at: at(9, 0, 1),
        slot: at(9),
        because: "<img src=x onerror=alert(1)> \u202eevil\u202c \u001b[31mred",
      },
    ]);
    const { browser } = await openPage(pages, "", { root });
    await browser.locator(ROW).first().waitFor();
    const text = await browser.locator(".c-because").last().innerText();
    expect(text).toContain("<img src=x onerror=alert(1)>");
    expect(text).toContain("⟨202E⟩evil⟨202C⟩ ␛[31mred");
    expect(await browser.locator("img").count()).toBe(0);
  });

  it("is for everybody, wide and narrow, in light and dark", async () => {
    const { browser } = await openPage(pages, "");
    await browser.locator(ROW).first().waitFor();
    await expectForEverybody(browser);
  });
});
