/** Places in a real browser: what takes no work and why, what waits, and where attempts ran. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { farmReport, PLACES_AT, PLACES_RUN, rootWithPlaces } from "../support/made-up-places.ts";
import { expectNoSidewaysScroll, openPage, violationsOf } from "./browser-rig.ts";

describe.runIf(hasBrowser)("Places", () => {
  const pages = withBrowser();

  it("shows what takes no work and why, what waits, and hears what changes", async () => {
    const made = rootWithPlaces();
    const { browser } = await openPage(pages, "places", { root: made });
    await browser.getByText("The daemon is down").waitFor();
    const rows = async (name: string): Promise<string[]> =>
      (await browser.getByRole("region", { name }).locator("tbody tr").allInnerTexts()).map((row) =>
        row.replaceAll(/\s+/g, " "),
      );
    expect(await rows("Places")).toEqual([
      expect.stringMatching(/^local .*takes work.* 1 running 8 at once/),
      expect.stringMatching(
        /^farm nats 2\.9\.10 w1 .*takes work gpu 1 running 4 at once orchd 0\.9/,
      ),
      expect.stringMatching(/w2 .*takes no work: it speaks protocol 2, not 1/i),
      expect.stringMatching(/^gpu1 ssh .*takes no work: .*No route to host/),
    ]);
    expect((await rows("Waiting")).map((row) => row.split(" ", 3).join(" "))).toEqual([
      "big 2 steps",
      "arm, gpu 1",
      "gpu 0 steps",
    ]);
    expect(await violationsOf(browser)).toEqual([]);
    await expectNoSidewaysScroll(browser);
    // Its own name is no label that a person would have to learn.
    expect((await rows("Places"))[1]).not.toMatch(/farm.*farm/);
    const line = { at: PLACES_AT, type: "place.changed", epoch: 1, ...farmReport };
    const text = JSON.stringify({ ...line, because: "the broker does not answer" });
    appendFileSync(join(made.runs, ".orchd/places.jsonl"), `${text}\n`);
    await browser.getByText("The broker does not answer").first().waitFor();
    await browser.getByRole("link", { name: PLACES_RUN }).first().click();
    await expect.poll(() => new URL(browser.url()).pathname).toBe(`/runs/${PLACES_RUN}`);
  });

  it("are whole on a phone: nothing of a row is cut", async () => {
    const viewport = { width: 400, height: 900 };
    const { browser } = await openPage(pages, "places", {
      root: rootWithPlaces(),
      browser: { viewport },
    });
    const tables = browser.locator(".scrolls");
    await tables.nth(1).waitFor();
    const cut = await tables.evaluateAll((all) =>
      all.map(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth),
    );
    expect(cut).toEqual([0, 0]);
    const lead = await browser.locator(".lead").boundingBox();
    const card = await browser.locator(".card").first().boundingBox();
    expect(card!.y - lead!.y - lead!.height).toBeGreaterThan(8);
  });

  it("are said of each attempt on the Run", async () => {
    const { browser } = await openPage(pages, `runs/${PLACES_RUN}`, { root: rootWithPlaces() });
    const attempts = browser.getByRole("region", { name: "Attempts" });
    await attempts.getByText("on farm at w2, then on farm at w1").waitFor();
    await attempts.getByText("on podman at here", { exact: true }).waitFor();
    await attempts.getByText("on podman at here · it needs nothing").waitFor();
    const waits = browser.getByRole("region", { name: "What it waits for" });
    await waits.getByText("big and big2", { exact: true }).waitFor();
    await waits.getByText("gpu1.lan does not answer: No route to host").waitFor();
    await browser.getByText(/0 of 8 steps have ended, 3 wait$/).waitFor();
    await browser.getByRole("link", { name: /^big: initializing: it waits/ }).waitFor();
    await waits.getByRole("link", { name: "Places" }).click();
    await browser.getByRole("heading", { name: "Places", level: 1 }).waitFor();
    expect(await violationsOf(browser)).toEqual([]);
  });
});
