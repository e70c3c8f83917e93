/** Runs in a real browser: the list, its filters in the address, the keys. */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { header, loaded, writePipeline, writeRun } from "../support/hand-ledger.ts";
import { at, idOf } from "../support/made-up-root.ts";
import { tempRoot } from "../support/temp-root.ts";
import { expectForEverybody, openPage } from "./browser-rig.ts";

const ROW = "[data-row]";

describe.runIf(hasBrowser)("Runs", () => {
  const pages = withBrowser();

  it("lists runs, newest first, and filters them by what the address says", async () => {
    const { browser } = await openPage(pages, "runs");
    await browser.locator(ROW).first().waitFor();
    const shown = (): Promise<string[]> =>
      browser.locator(ROW).evaluateAll((rows) => rows.map((row) => row.getAttribute("data-row")!));
    const all = await shown();
    expect(all).toEqual(all.toSorted().toReversed());
    await browser.getByRole("link", { name: "Failed", exact: true }).click();
    await expect.poll(shown).toEqual([idOf("etl", 2)]);
    expect(new URL(browser.url()).searchParams.get("status")).toBe("failed");
    expect(await browser.locator(`${ROW} .because`).first().innerText()).toContain(
      'step "load" failed',
    );
  });

  it("keeps a pipeline's name as it is typed, and asks for it with Enter", async () => {
    const { browser } = await openPage(pages, "runs");
    await browser.locator(ROW).first().waitFor();
    const field = browser.getByRole("searchbox", { name: "Pipeline" });
    await field.fill("etl");
    await browser.keyboard.press("Enter");
    await expect.poll(() => new URL(browser.url()).searchParams.get("pipeline")).toBe("etl");
    await browser.goBack();
    await expect.poll(() => field.inputValue()).toBe("");
  });

  it("finds runs by words, from any page, and a run by its id", async () => {
    const { browser } = await openPage(pages, "alerts");
    await browser.locator("header .daemon.down").waitFor();
    await browser.keyboard.press("/");
    await browser.keyboard.type("asked by hand");
    await browser.keyboard.press("Enter");
    await browser.locator(ROW).first().waitFor();
    expect(await browser.locator(`${ROW} .status`).allInnerTexts()).toEqual(["■\nstopped"]);
    await browser.keyboard.press("/");
    await browser.keyboard.type(idOf("etl", 2));
    await browser.keyboard.press("Enter");
    await expect.poll(() => new URL(browser.url()).pathname).toBe(`/runs/${idOf("etl", 2)}`);
  });

  it("goes to older runs, and back to the newest", async () => {
    const root = tempRoot();
    for (let hour = 0; hour < 60; hour += 1) {
      const id = `many@${new Date(Date.parse(at(0)) - hour * 3_600_000)
        .toISOString()
        .slice(0, 19)
        .replaceAll(/[-:]/g, "")}Z`;
      writeRun(root.runs, id, [header(id, { only: [] })]);
    }
    writePipeline(root.runs, "many", [
      loaded("0 * * * *"),
      ...readdirSync(join(root.runs, "many"), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith("Z.jsonl"))
        .toSorted()
        .map((file) => {
          const run = basename(file, ".jsonl");
          return { type: "run.finished", run, status: "completed", durationMs: 1_000 };
        }),
    ]);
    const { browser } = await openPage(pages, "runs", { root });
    // The answer comes after the page was drawn with its new address.
    let answer = (): void => undefined;
    const drawn = new Promise<void>((resolve) => (answer = resolve));
    await browser.route(/\/api\/v1\/runs\?.*cursor=/, async (route) => {
      await drawn;
      await route.continue();
    });
    await browser.getByRole("link", { name: "Older" }).click();
    await browser.getByRole("link", { name: "Newest" }).waitFor();
    // Somebody is at the rows, which keep their order then: but not those of another page.
    await browser.getByRole("heading", { name: "Runs", level: 1 }).hover();
    await browser.locator(ROW).first().hover();
    answer();
    await expect.poll(() => browser.locator(ROW).count()).toBe(10);
    await browser.getByRole("link", { name: "Newest" }).click();
    await expect.poll(() => browser.locator(ROW).count()).toBe(50);
  });

  it("says what is wrong with a pipeline that there is not", async () => {
    const { browser } = await openPage(pages, "runs?pipeline=elt", { expects: /404/ });
    await browser.locator(".problem").waitFor();
    expect(await browser.locator(".problem").innerText()).toContain("elt");
  });

  it("goes from row to row by keys, and opens one", async () => {
    const { browser } = await openPage(pages, "runs");
    await browser.locator(ROW).first().waitFor();
    await browser.keyboard.press("j");
    await browser.keyboard.press("j");
    const name = await browser.evaluate(() =>
      document.activeElement?.closest("[data-row]")?.getAttribute("data-row"),
    );
    expect(name).toBe(await browser.locator(ROW).nth(1).getAttribute("data-row"));
    const href = await browser.evaluate(() => (document.activeElement as HTMLAnchorElement).href);
    expect(new URL(href).pathname).toBe(`/runs/${name}`);
  });

  it("is for everybody, wide and narrow, in light and dark", async () => {
    const { browser } = await openPage(pages, "runs");
    await browser.locator(ROW).first().waitFor();
    await expectForEverybody(browser);
  });
});
