/** What a browser drops, as where the network changes, is asked for again: code and answers. */
import { appendFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { RunStore } from "../../src/ledger/run-store.ts";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { header, ledgerText, runPath, writeRun, type HandEvent } from "../support/hand-ledger.ts";
import { at, idOf, madeUpRoot } from "../support/made-up-root.ts";
import { projectRoot, type TempRoot } from "../support/temp-root.ts";
import { openPage, type OpenPage } from "./browser-rig.ts";

const pages = withBrowser();
const expects = /ERR_|Failed to load/;
const FAILED = idOf("etl", 2);

/** Drops the first request for what fits. */
const dropOnce = (page: Page, what: RegExp): Promise<unknown> =>
  page.route(what, (route) => route.abort(), { times: 1 });

/** What index.html has a browser load, but for its first script. */
const firstLoad = [
  ...readFileSync(join(projectRoot, "dist/page/index.html"), "utf8").matchAll(
    /<link rel="(?:stylesheet|modulepreload)" href="(assets\/[^"]+)"/g,
  ),
].map(([, path]) => path!);

describe.runIf(hasBrowser)("the page", () => {
  it("comes whole whichever file of its first load was dropped", async () => {
    expect(firstLoad.length).toBeGreaterThan(3);
    const { browser } = await openPage(pages, "", { expects, root: madeUpRoot() });
    for (const path of firstLoad) {
      await browser.unrouteAll();
      await dropOnce(browser, new RegExp(path));
      await browser.reload({ waitUntil: "commit" });
      await browser.locator('[data-name="held"]').waitFor();
      await browser.waitForFunction(
        () => getComputedStyle(document.querySelector(".top")!).display === "flex",
      );
    }
  }, 120_000);

  it("draws steps and durations although their code was dropped at first", async () => {
    const { browser, url } = await openPage(pages, "", { expects, root: madeUpRoot() });
    await dropOnce(browser, /assets\/dagre/);
    await dropOnce(browser, /assets\/uPlot/);
    await browser.goto(url(`runs/${FAILED}`));
    await browser
      .getByRole("link", { name: /^load: failed/ })
      .first()
      .waitFor();
    await expect.poll(() => browser.locator("svg.dag").count()).toBe(1);
    await browser.goto(url("pipelines/etl"));
    await expect.poll(() => browser.locator(".trend canvas").count()).toBe(1);
  });

  it("shows a run's log, its last lines and its ledger although they were dropped", async () => {
    const root = madeUpRoot();
    print(root, FAILED, "no room");
    const { browser, url } = await openPage(pages, "", { expects, root });
    await dropOnce(browser, /\/log\?.*stream=stderr/);
    await dropOnce(browser, /\/log\?from=-/);
    await browser.route(/\/ledger\?/, (route) => route.abort(), { times: 2 });
    await browser.goto(url(`runs/${FAILED}`));
    await browser.locator(".last-lines").getByText("no room").waitFor();
    await logOf(browser).getByText("no room").waitFor();
    await expect.poll(() => endOf(browser)).toContain("run.finished");
    expect(await browser.locator("main").innerText()).not.toContain("does not answer");
  });
});

const RUN = "etl@20261123T083000.001Z-m";
const begun: HandEvent[] = [
  header(RUN, { load: [] }),
  { type: "run.started", because: "asked by hand" },
  { type: "step.started", step: "load", attempt: 1, because: "the run began" },
];
const error = { name: "Error", message: "no room" };
const ended: HandEvent[] = [
  { type: "step.failed", step: "load", attempt: 1, error, because: "no retry is left" },
  { type: "run.finished", status: "failed", because: 'step "load" failed', durationMs: 9 },
];
const rest = ledgerText([...begun, ...ended]).slice(ledgerText(begun).length);
const ledgerOf = (page: Page): Locator => page.getByRole("group", { name: "The ledger's lines" });
const logOf = (page: Page): Locator => page.getByRole("group", { name: "What the steps printed" });
/** What the ledger's last lines say. */
async function endOf(page: Page): Promise<string> {
  await ledgerOf(page).evaluate((element) => element.scrollTo(0, element.scrollHeight));
  return ledgerOf(page).innerText();
}
const titleOf = (page: Page): Locator => page.getByRole("heading", { level: 1 });

/** Has a step print a line. */
function print(root: TempRoot, run: string, line: string): void {
  const path = new RunStore(root.runs).runLog(run);
  mkdirSync(dirname(path), { recursive: true });
  const printed = { at: at(8, 31), step: "load", attempt: 1, stream: "stderr", line };
  appendFileSync(path, `${JSON.stringify(printed)}\n`);
}

describe.runIf(hasBrowser)("a run that goes on", () => {
  const running = async (): Promise<OpenPage> => {
    const root = madeUpRoot([{ type: "run.started", at: at(9, 31), run: RUN }]);
    writeRun(root.runs, RUN, begun);
    return openPage(pages, "", { expects, root });
  };

  it("has its last lines where it ended while nobody heard it", async () => {
    const { browser, root, url } = await running();
    await browser.route(/\/events\?/, (route) => route.abort());
    await browser.goto(url(`runs/${RUN}`));
    await expect.poll(() => endOf(browser)).toContain("step.started");
    await browser.getByText("nothing printed").waitFor();
    await browser.route(/\/log\?from=\d/, (route) => route.abort());
    print(root, RUN, "no room");
    appendFileSync(runPath(root.runs, RUN), rest);
    await browser.unroute(/\/events\?/);
    await titleOf(browser).filter({ hasText: "failed" }).waitFor();
    await browser.unrouteAll();
    await expect.poll(() => endOf(browser)).toContain("run.finished");
    await logOf(browser).getByText("no room").waitFor();
  });

  it("has the lines that came while its ledger was read", async () => {
    const { browser, root, url } = await running();
    let hear = (): void => {};
    const heard = new Promise<void>((resolve) => (hear = resolve));
    const after = new RegExp(`/ledger\\?from=${begun.length + 1}&`);
    await browser.route(
      after,
      async (route) => {
        const response = await route.fetch();
        appendFileSync(runPath(root.runs, RUN), rest);
        await heard;
        await route.fulfill({ response });
      },
      { times: 1 },
    );
    await browser.goto(url(`runs/${RUN}`));
    await titleOf(browser).filter({ hasText: "failed" }).waitFor();
    hear();
    await expect.poll(() => endOf(browser)).toContain("run.finished");
  });
});
