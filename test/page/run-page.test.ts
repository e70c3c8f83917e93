/** Run, Pipeline, Diff, Requests and File in a real browser, over a real daemon. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseRunId } from "../../src/core/run-id.ts";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { expectForEverybody } from "./browser-rig.ts";
import { confirmed, servedRoot, type Served } from "./page-daemon.ts";

const FILES = {
  "schedules/etl.yaml": `
name: etl
description: Fetches and joins
tags: [sales]
retry: { maxRetries: 1, delay: 200ms }
steps:
  fetch: { run: 'echo "4812 orders"; echo "{\\"orders\\": 4812}" > "$ORCHD_OUTPUT"' }
  shop: { run: 'printf "\\033[31;1merror\\033[0m 503\\n" >&2; exit 69' }
  join: { run: 'true', inputs: { orders: fetch }, after: [shop] }
`,
  "schedules/typed.yaml": `
name: typed
params: { limit: 5, full: false, day: today, shops: [berlin], token: { secret: SHOP } }
steps: { a: { run: 'echo done' } }
`,
  "schedules/slow.yaml": `
name: slow
steps:
  print:
    run: |
      trap "" TERM
      i=0
      while [ $i -lt 900 ]; do i=$((i+1)); echo "line $i here"; sleep 0.05; done
`,
  "schedules/nightly.yaml": `
name: nightly
schedule: { cron: "0 2 * * *", timezone: Europe/Berlin }
steps: { a: { run: 'sleep 2' } }
`,
  "schedules/hostile.yaml": `
name: hostile
params: { p: "<img src=x onerror=alert(1)>" }
steps:
  a:
    run: |
      printf '<script>alert(1)</script> \\342\\200\\256gpj.exe\\n'
      printf '\\033]0;owned\\007\\033[2J\\033[8mseen\\033[0m 10%%\\r20%%\\n'
`,
  "schedules/broken.yaml": `descripton: Sends <b>invoices</b>
steps: { a: { run: 'true' } }
`,
};

const pages = withBrowser();

describe.runIf(hasBrowser)("the page over a daemon", () => {
  let served: Served;
  beforeAll(async () => {
    served = await servedRoot(FILES);
  });
  afterAll(() => served?.end());

  const ledger = (run: string): Record<string, unknown>[] =>
    readFileSync(ledgerPath(run), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const ledgerPath = (run: string): string => {
    const { pipeline, month } = parseRunId(run)!;
    return join(served.root.runs, pipeline, month, `${run}.jsonl`);
  };
  const started = async (pipeline: string): Promise<string> =>
    (await served.cli<{ run: string }>("run", pipeline)).run;
  const headed = (page: Page, text: RegExp): Promise<void> =>
    page.getByRole("heading", { level: 1 }).filter({ hasText: text }).waitFor();

  it("runs a pipeline with params that were typed", async () => {
    const page = await pages.open(served.link("pipelines/typed"));
    await page.getByLabel("limit").fill("7");
    await page.getByLabel("full").check();
    await page.getByLabel("day", { exact: true }).fill("");
    await expect(page.getByLabel("token").innerText()).resolves.toContain("secret SHOP");
    await page.getByRole("button", { name: "Run typed 3 params changed" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog.locator("code").innerText()).resolves.toBe(
      "orchd run typed -p limit=7 -p full=true -p day=",
    );
    expect(await confirmed(page, "Run typed")).toContain("Accepted");
    await dialog.getByRole("link", { name: /^typed@/ }).click();
    await headed(page, /completed\s+typed@/);
    const run = new URL(page.url()).pathname.split("/").at(-1)!;
    expect(ledger(run)[0]).toMatchObject({
      params: { limit: 7, full: true, day: "", shops: ["berlin"] },
    });
  });

  it("says at its field what is wrong with a param, and asks for nothing", async () => {
    const page = await pages.open(served.link("pipelines/typed"));
    await page.getByLabel("limit").fill("seven");
    await page.getByRole("button", { name: /^Run typed/ }).click();
    await page.getByText('"seven" is no number').waitFor();
    expect(await page.getByLabel("limit").getAttribute("aria-invalid")).toBe("true");
    expect(await page.getByRole("dialog").count()).toBe(0);
    // What was typed is in the address, and stays.
    await page.reload();
    expect(await page.getByLabel("limit").inputValue()).toBe("seven");
  });

  it("shows why a run failed, and re-runs what failed", async () => {
    const { run } = await served.run("etl");
    const page = await pages.open(served.link(`runs/${run}`));
    await headed(page, /failed\s+etl@/);
    await page.getByRole("heading", { name: "Why it failed" }).waitFor();
    await page.locator(".last-lines").getByText("error").first().waitFor();
    // The drawing, the attempts and the ledger tell the same.
    await page.getByRole("link", { name: /^shop: failed, 2 attempts/ }).waitFor();
    await page.getByText("attempt 1: retried").waitFor();
    await page.getByText(/lines, crc whole/).waitFor();
    await page.getByRole("button", { name: "Re-run what failed 1 of 3 steps reused" }).click();
    await expect(page.getByRole("dialog").locator("code").innerText()).resolves.toBe(
      `orchd rerun ${run} --failed`,
    );
    expect(await confirmed(page, /^Re-run 2 of 3 steps/)).toContain("Accepted");
    await page.getByRole("dialog").getByRole("link", { name: /^etl@/ }).click();
    await headed(page, /failed\s+etl@.*-r1/);
    expect(ledger(`${run}-r1`)[0]).toMatchObject({ trigger: { kind: "rerun", of: run } });
    await page.getByRole("link", { name: /^fetch: cached/ }).waitFor();
    await page.locator(".cache").getByText(`taken over from ${run}`).waitFor();
    await page.getByRole("link", { name: "Compare…" }).click();
    await page.getByRole("heading", { name: "What changed" }).waitFor();
    expect(new URL(page.url()).searchParams.get("a")).toBe(run);
  });

  it("follows a log until somebody scrolls up, and stops the run that prints it", async () => {
    const run = await started("slow");
    const page = await pages.open(served.link(`runs/${run}`));
    const log = page.getByRole("group", { name: "What the steps printed" });
    await log.getByText("line 80 here").waitFor();
    // Of many rows few are drawn: each says which one it is, of how many.
    const drawn = await log
      .getByRole("listitem")
      .evaluateAll((rows) =>
        rows.map((row) => [row.dataset["index"], row.ariaPosInSet, row.ariaSetSize].map(Number)),
      );
    expect(drawn.length).toBeGreaterThan(0);
    for (const [index, nth, size] of drawn) {
      expect(nth).toBe(index! + 1);
      expect(size).toBeGreaterThanOrEqual(80);
    }
    await log.hover();
    await page.mouse.wheel(0, -900);
    await page.getByRole("button", { name: "Follow the end" }).waitFor();
    const top = await log.evaluate((element) => element.scrollTop);
    const count = page.locator(".log h2 small");
    const before = await count.innerText();
    await page.waitForFunction(
      (text) => document.querySelector(".log h2 small")?.textContent !== text,
      before,
    );
    expect(await log.evaluate((element) => element.scrollTop)).toBe(top);
    await page.getByRole("button", { name: "Follow the end" }).click();
    await page.getByLabel("Search the log").fill("LINE 42 ");
    await log.getByText("line 42 here").waitFor();
    await page.waitForFunction(() => document.querySelectorAll(".ll").length === 1);
    await page.getByRole("button", { name: "Stop" }).click();
    expect(await confirmed(page, "Stop it")).toContain("Accepted");
    await page.getByRole("button", { name: "Close" }).click();
    await headed(page, /stopping\s+slow@/);
    await page.getByRole("button", { name: "Force stop" }).click();
    expect(await confirmed(page, "Stop it by force")).toContain("Accepted");
    await page.getByRole("button", { name: "Close" }).click();
    await headed(page, /stopped\s+slow@/);
    expect(ledger(run).map(({ type }) => type)).toContain("run.stop_requested");
    // What was typed is still there after all these updates.
    expect(await page.getByLabel("Search the log").inputValue()).toBe("LINE 42 ");
  });

  it("pauses and resumes a pipeline", async () => {
    const page = await pages.open(served.link("pipelines/nightly"));
    await page.getByRole("button", { name: "Pause" }).click();
    expect(await confirmed(page, "Pause it")).toContain("Accepted");
    await page.getByRole("button", { name: "Close" }).click();
    await headed(page, /paused\s+nightly/);
    await page.getByRole("button", { name: "Resume" }).click();
    expect(await confirmed(page, "Resume it")).toContain("Accepted");
    const lines = readFileSync(join(served.root.runs, "nightly/pipeline.jsonl"), "utf8");
    expect(lines).toMatch(/pipeline\.paused[^]*pipeline\.resumed/);
  });

  it("tells a backfill's price before it asks for it, and cancels one", async () => {
    await served.run("nightly");
    const page = await pages.open(
      served.link("backfill", { pipeline: "nightly", from: "5d", to: "now" }),
    );
    await page.getByRole("heading", { name: "The price" }).waitFor();
    await page.getByText("Priced by the steps of").waitFor();
    const lines = (): string =>
      readFileSync(join(served.root.runs, "nightly/pipeline.jsonl"), "utf8");
    expect(lines()).not.toContain("backfill.started");
    await page.getByRole("button", { name: /^Backfill 5 slots about \d+s$/ }).click();
    await expect(page.getByRole("dialog").locator("code").innerText()).resolves.toMatch(
      /^orchd backfill nightly --from \S+ --to \S+ --missing$/,
    );
    expect(await confirmed(page, "Backfill 5 slots")).toContain("Accepted");
    await page.getByRole("button", { name: "Close" }).click();
    expect(lines()).toContain("backfill.started");
    await page.getByRole("button", { name: /^Cancel/ }).click();
    expect(await confirmed(page, "Cancel the backfill")).toContain("Accepted");
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByRole("heading", { name: "Under way" }).waitFor({ state: "detached" });
    expect(lines()).toContain("backfill.finished");
    expect(lines().split("slot.backfilled").length - 1).toBeLessThan(5);
  });

  it("does all of that from the keyboard", async () => {
    const { run } = await served.run("hostile");
    const page = await pages.open(served.link(`runs/${run}`));
    await headed(page, /completed/);
    await page.keyboard.press("j");
    await page.waitForURL(/step=a/);
    await page.keyboard.press("r");
    await page.getByRole("dialog").waitFor();
    const focus = page.getByRole("dialog").getByRole("button", { name: "Re-run it" });
    for (let presses = 0; presses < 6; presses += 1) {
      if (await focus.evaluate((element) => element === document.activeElement)) break;
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    await page.locator(".outcome").getByText("Accepted").waitFor();
    await page.keyboard.press("Escape");
    expect(await page.getByRole("dialog").count()).toBe(0);
  });

  it("shows what is hostile as text", async () => {
    const { run } = await served.run("hostile");
    const page = await pages.open(served.link(`runs/${run}`));
    const log = page.getByRole("group", { name: "What the steps printed" });
    await log.getByText("<script>alert(1)</script> ⟨202E⟩gpj.exe").waitFor();
    const second = await log.locator(".ll-t").nth(1).innerText();
    expect(second).toBe("seen 10%⟨0D⟩20%");
    await page.getByText('p="<img src=x onerror=alert(1)>"').first().waitFor();
    expect(await page.locator("main img, main script").count()).toBe(0);
  });

  it("says in a sentence what is not there, damaged or not valid", async () => {
    const expects = /404/;
    const { run } = await served.run("typed");
    const near = `${run.slice(0, -3)}9Z-m`;
    const unknown = await pages.open(served.link(`runs/${near}`), { expects });
    const sentence = `there is no run "${near}"; did you mean "${run}"?`;
    await unknown.getByRole("alert").getByText(sentence).waitFor();
    const nowhere = await pages.open(served.link("pipelines/tiped"), { expects });
    await nowhere.getByRole("alert").getByText('there is no pipeline "tiped"').waitFor();
    // It listens to what comes, and does not say that it could not.
    await nowhere.locator(".notice").waitFor({ state: "detached" });
    const text = readFileSync(ledgerPath(run), "utf8");
    writeFileSync(ledgerPath(run), text.replace('"step.started"', '"step.xtarted"'));
    const damaged = await pages.open(served.link(`runs/${run}`));
    await damaged.getByText("Its ledger is damaged.").waitFor();
    await damaged
      .locator("[role=alert]")
      .getByText(/line 3/)
      .waitFor();
    writeFileSync(ledgerPath(run), text);
    const broken = await pages.open(served.link("pipelines/broken/file"));
    await broken.getByText('did you mean "description"').first().waitFor();
    await broken.getByText("descripton: Sends <b>invoices</b>").waitFor();
    expect(await broken.locator(".src.faulty a").innerText()).toBe("1");
  });

  it("keeps WCAG AA in light and dark, and fits a phone", async () => {
    const { run } = await served.run("etl");
    const paths = [
      `runs/${run}`,
      `runs/${run}?steps=list&step=shop`,
      "pipelines/typed?p.limit=x",
      "pipelines/nightly",
      `diff?a=${run}&b=${run}`,
      "requests",
      "backfill",
      "pipelines/broken/file",
    ];
    const page = await pages.open(served.link());
    for (const path of paths) {
      await page.goto(served.link(path));
      await page.locator("main h1").waitFor();
      await page.waitForFunction(() => document.querySelector("main .waiting") === null);
      await expectForEverybody(page);
    }
  }, 180_000);

  it("tells what became of a request, and keeps one while no daemon is up", async () => {
    await served.daemon.end();
    const page = await pages.open(served.link("pipelines/typed"));
    await page.getByText("No daemon is up.").waitFor();
    await page.getByRole("button", { name: /^Run typed/ }).click();
    const said = await confirmed(page, "Run typed", /waits/);
    expect(said).toContain("waits");
    await page.getByRole("dialog").getByRole("link", { name: "its request" }).click();
    await page.getByText("waits for the daemon").first().waitFor();
  });
});
