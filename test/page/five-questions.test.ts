/**
 * The page's story, in a real browser over a real daemon: failures, retries, cache hits, a paused
 * pipeline, an invalid file, and a downtime. What Overview answers is held against the ledgers.
 *
 * It leaves pictures of the pages in test/page/screenshots/, for people to look at.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { startDaemon, type Daemon } from "../support/daemon.ts";
import { fullFigures } from "../support/figures.ts";
import { projectRoot } from "../support/temp-root.ts";
import { violationsOf } from "./browser-rig.ts";
import { servedRoot, type Served } from "./page-daemon.ts";
import { BIG_UPLOAD, LISBON_DOWN, LISBON_FLAKY, storyFiles } from "./story-root.ts";

const PICTURES = join(projectRoot, "test/page/screenshots");
const WAIT = { timeout: 30_000, interval: 100 };

/** How often the pipelines fire that do not catch up, in seconds. */
const EVERY: Readonly<Record<string, number>> = {
  "cert-check": 4,
  "mail-queue": 1,
  "host-report": 2,
  "run-report": 1,
};

type Line = Readonly<Record<string, string | number | undefined>>;

const pages = withBrowser();

describe.runIf(hasBrowser)("the page's story", () => {
  let served: Served;
  let daemon: Daemon;

  /** The lines of a pipeline's own ledger. */
  const lines = (pipeline: string): Line[] => {
    const path = join(served.root.runs, pipeline, "pipeline.jsonl");
    if (!existsSync(path)) return [];
    const whole = readFileSync(path, "utf8").split("\n").slice(0, -1);
    return whole.map((line) => JSON.parse(line) as Line);
  };
  const linesOf = (pipeline: string, type: string): Line[] =>
    lines(pipeline).filter((line) => line["type"] === type);
  const daemonLines = (): Line[] =>
    readFileSync(join(served.root.runs, ".orchd/daemon.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Line);
  /** Waits until a pipeline's ledger has a line, and gives the first. */
  const until = (pipeline: string, has: (line: Line) => boolean): Promise<Line> =>
    vi.waitFor(() => {
      const line = lines(pipeline).find(has);
      expect(line, `no line of ${pipeline}`).toBeDefined();
      return line!;
    }, WAIT);
  const ended =
    (status: string, after = "") =>
    (line: Line) =>
      line["type"] === "run.finished" && line["status"] === status && String(line["at"]) > after;
  const lay = (name: string): string => served.root.write(name, "");
  const lift = (name: string): void => rmSync(join(served.root.root, name));

  beforeAll(async () => {
    served = await servedRoot(storyFiles("seconds"));
    await until("orders-etl", ended("completed"));
    lay(LISBON_FLAKY);
    await vi.waitFor(() => expect(runsWith("orders-etl", "step.failed")).not.toEqual([]), WAIT);
    lift(LISBON_FLAKY);
    await served.cli("pause", "mail-queue");
    await until("mail-queue", ({ type }) => type === "slot.skipped");
    await until("cert-check", ended("failed"));
    await served.daemon.kill();
    const down = Date.now();
    await vi.waitFor(() => expect(Date.now() - down).toBeGreaterThan(4_500), WAIT);
    lay(BIG_UPLOAD);
    daemon = await startDaemon({ root: served.root.root });
    await until("host-report", ({ type }) => type === "slot.missed");
    await until("orders-etl", ({ type }) => type === "slot.caught_up");
    const now = new Date().toISOString();
    await until("orders-etl", ended("completed", now));
    lay(LISBON_DOWN);
    await until("orders-etl", ended("failed", now));
  }, 120_000);

  afterAll(async () => {
    await served?.end();
    await daemon?.end();
    process.stdout.write(`pictures of the page: ${PICTURES}\n`);
  });

  /** The ids of a pipeline's runs whose own ledger has a line of this type. */
  function runsWith(pipeline: string, type: string): string[] {
    const folder = join(served.root.runs, pipeline);
    return readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /@[^/]*\.jsonl$/.test(name))
      .filter((name) => readFileSync(join(folder, name), "utf8").includes(`"type":"${type}"`))
      .map((name) => name.replace(/^.*\/|\.jsonl$/g, ""));
  }

  const answers = async (page: Page): Promise<string[]> =>
    (await page.locator(".question").allInnerTexts()).map((text) => text.replaceAll(/\s+/g, " "));
  const overview = async (): Promise<Page> => {
    const page = await pages.open(served.link());
    await page.locator(".question").first().waitFor();
    return page;
  };
  /** A run that failed, after it was retried, with a step that the cache answered. */
  const failedRun = (): string => {
    const failed = new Set(
      lines("orders-etl")
        .filter(ended("failed"))
        .map(({ run }) => run),
    );
    const cached = runsWith("orders-etl", "step.cached");
    return cached.findLast((run) => failed.has(run))!;
  };

  it("says what runs now and what comes next, while it does", async () => {
    const page = await overview();
    const running = page.locator(".under-way", { hasText: "thumbnailer" });
    await running.filter({ hasText: /usually .* of 1 step/ }).waitFor();
    const link = await running.locator("a").getAttribute("href");
    const run = decodeURIComponent(new URL(link!, page.url()).pathname.split("/").at(-1)!);
    await until("thumbnailer", (line) => line["type"] === "run.started" && line["run"] === run);
    const next = await page.locator(".next a").allInnerTexts();
    expect(next).toHaveLength(3);
    expect(next).not.toContain("mail-queue");
    for (const name of next) expect(linesOf(name, "pipeline.loaded")).not.toEqual([]);
  });

  it("says what changed, and who needs somebody", async () => {
    const page = await overview();
    await page.getByRole("button", { name: /^and \d+ more$/ }).click();
    const changed = (await answers(page))[4];
    const [paused] = linesOf("mail-queue", "pipeline.paused");
    expect(paused).toBeDefined();
    expect(changed).toMatch(/mail-queue was paused by/);
    expect(changed).toContain("invoice-run");
    const row = (name: string) => page.locator(`.pipelines [data-name="${name}"]`);
    const rows = await page
      .locator(".pipelines [data-name]")
      .evaluateAll((all) => all.map((one) => one.classList.contains("hot")));
    expect(rows).toEqual(rows.toSorted((a, b) => Number(b) - Number(a)));
    expect(await row("invoice-run").getAttribute("class")).toContain("hot");
    expect(await row("invoice-run").innerText()).toContain('did you mean "description"');
    // It fails each time. A run that the daemon's death ended has another reason.
    await expect
      .poll(() => row("cert-check").innerText(), WAIT)
      .toContain("expires in 6 days, fewer than 14");
    expect(await row("mail-queue").innerText()).toMatch(/paused/);
    await row("orders-etl").locator('.mark[aria-label*="503"]').first().waitFor();
  });

  it("shows the failed run: its retries, its cached step, and what was skipped", async () => {
    const page = await pages.open(served.link(`runs/${failedRun()}`));
    await page.getByRole("heading", { name: "Why it failed" }).waitFor();
    await page.getByRole("link", { name: /^fetch-lisbon: failed, 3 attempts/ }).waitFor();
    await page.getByRole("link", { name: /^rates: cached/ }).waitFor();
    await page.getByRole("link", { name: /^publish: skipped/ }).waitFor();
    const rerun = page.getByRole("button", { name: /^Re-run what failed/ });
    expect(await rerun.innerText()).toContain("2 of 7 steps reused");
  });

  it("leads from Overview to a run and back with the keys alone", async () => {
    const page = await overview();
    await page.locator('[data-name="orders-etl"]').waitFor();
    // The focus follows a key with the next drawing: a key that comes before passes over a row.
    const focused = (): Promise<string> =>
      page.evaluate(async () => {
        const drawn = (): Promise<number> => new Promise(requestAnimationFrame);
        await drawn();
        await drawn();
        await new Promise((resolve) => setTimeout(resolve));
        const at = document.activeElement;
        return at?.getAttribute("aria-label") ?? at?.textContent ?? "";
      });
    const pressUntil = async (key: string, seen: (text: string) => boolean): Promise<void> => {
      for (let presses = 0; presses < 60; presses += 1) {
        await page.keyboard.press(key);
        if (seen(await focused())) return;
      }
      throw new Error(`${key} does not lead there; the focus is at ${await focused()}`);
    };
    await pressUntil("j", (text) => text === "orders-etl");
    // Its strip is one stop of the Tab key, whatever became of its newest slot.
    await pressUntil("Tab", (text) => /\d\d:\d\d(?::\d\d)?Z, /.test(text));
    await pressUntil("ArrowLeft", (text) => /completed|failed/.test(text));
    await page.keyboard.press("Enter");
    await page
      .getByRole("heading", { level: 1 })
      .filter({ hasText: /orders-etl@/ })
      .waitFor();
    await pressUntil("Tab", (text) => text === "Overview");
    await page.keyboard.press("Enter");
    await page.locator('[data-name="orders-etl"]').waitFor();
    expect(new URL(page.url()).pathname).toBe("/");
  });

  it("leaves pictures of its pages, which keep WCAG AA", async () => {
    mkdirSync(PICTURES, { recursive: true });
    const broken: string[] = [];
    // Each width and each scheme once: FAULTS=1 has the two others too.
    const looks = [
      [1_400, "light"],
      [420, "dark"],
      ...(fullFigures
        ? ([
            [1_400, "dark"],
            [420, "light"],
          ] as const)
        : []),
    ] as const;
    const paths = { overview: "", slots: "slots", run: `runs/${failedRun()}` };
    for (const [width, colorScheme] of looks) {
      const viewport = { width, height: 900 };
      const page = await pages.open(served.link(), { colorScheme, viewport });
      for (const [name, path] of Object.entries(paths)) {
        await page.goto(served.link(path));
        await page.locator("main h1").waitFor();
        await page.waitForFunction(() => document.querySelector("main .waiting") === null);
        broken.push(...(await violationsOf(page)).map((one) => `${name}: ${one}`));
        const file = join(PICTURES, `${name}-${width}-${colorScheme}.png`);
        await page.screenshot({ path: file, fullPage: true });
      }
    }
    expect(broken).toEqual([]);
  }, 120_000);

  it("says what ran and what did not, as the ledgers do, with the daemon down too", async () => {
    const page = await overview();
    const [began] = daemonLines()
      .filter(({ type }) => type === "daemon.began")
      .slice(1);
    const back = String(began!["at"]).slice(11, 19);
    await page.getByText(new RegExp(`no daemon was up [\\d:]{8}–${back}`)).waitFor();
    await daemon.end();
    await page
      .getByText(/no daemon is up|daemon down/i)
      .first()
      .waitFor();
    const told = sumsOf();
    await expect
      .poll(async () => (await answers(page))[0], WAIT)
      .toContain(`${told.ran} of ${told.total} slots ran`);
    const didNot = (await answers(page))[1];
    expect(didNot).toContain(`${told.failed} runs failed`);
    expect(didNot).toContain(`${told.missed} slots missed: no daemon was up`);
    expect(didNot).toContain(`${told.skipped} skipped`);
  });

  /** The slots by what became of them, counted from the ledgers' lines alone. */
  function sumsOf() {
    const sums = { total: 0, ran: 0, failed: 0, skipped: 0, missed: 0 };
    for (const pipeline of readdirSync(served.root.runs)) {
      const all = lines(pipeline);
      const failed = new Set(all.filter(ended("failed")).map(({ run }) => run));
      for (const { type, slot, until: last, run } of all) {
        if (type === "slot.fired" || type === "slot.caught_up") {
          sums.ran += 1;
          if (failed.has(run)) sums.failed += 1;
        } else if (type === "slot.skipped") sums.skipped += 1;
        else if (type === "slot.missed") {
          const length = Date.parse(String(last ?? slot)) - Date.parse(String(slot));
          sums.missed += 1 + length / 1_000 / (EVERY[pipeline] ?? Number.NaN) || 1;
        }
      }
    }
    return { ...sums, total: sums.ran + sums.skipped + sums.missed };
  }
});
