/**
 * A browser for tests of the page: Debian's Chromium, driven by playwright-core. One that has no
 * window takes half the processor time, and draws the same. One is started a
 * test file; each test gets a context of its own, and its page's errors fail it.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import type { Browser, BrowserContextOptions, Page, Request } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";

/** A folder for what each test saw last; undefined: no pictures are kept. */
const SCREENSHOTS = process.env["ORCHD_SCREENSHOTS"];
const CHROMIUM =
  process.env["CHROMIUM"] ??
  ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"].find((path) => existsSync(path)) ??
  "/usr/bin/chromium";

/** Whether there is a browser; `.ci/run` installs one. */
export const hasBrowser = existsSync(CHROMIUM);

/** It asks nobody outside of this machine for anything. */
const QUIET = [
  "--no-sandbox",
  "--disable-quic",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** What a browser says of requests that were under way while a network came or went. */
const CHANGED = "ERR_NETWORK_CHANGED";

/** Opens pages in the file's browser. */
export interface Pages {
  /**
   * A page at an address, once the app has drawn it. An error in its console, or a script that the
   * security policy stops, fails the test; `expects` says which are meant.
   */
  open(url: string, options?: BrowserContextOptions & { readonly expects?: RegExp }): Promise<Page>;
}

/** Starts the browser before the file's tests, and closes it after them. */
export function withBrowser(): Pages {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
  });
  afterAll(async () => browser?.close());
  return {
    async open(url, { expects, ...options } = {}) {
      const context = await browser!.newContext({
        viewport: { width: 1400, height: 900 },
        ...options,
      });
      const page = await context.newPage();
      loadAgain(page);
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("console", (message) => {
        const text = message.text();
        // Tests beside this one make networks on this machine, and Chromium asks again then.
        if (text.includes(CHANGED)) return;
        if (message.type() === "error" && expects?.test(text) !== true) errors.push(text);
      });
      onTestFinished(async ({ task }) => {
        if (SCREENSHOTS !== undefined) {
          const name = `${task.file.name} ${task.name}`.replaceAll(/[^a-z0-9]+/gi, "-");
          await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
        }
        await context.close();
        expect(errors).toEqual([]);
      });
      await page.goto(url);
      return page;
    },
  };
}

/**
 * Has a page that goes to an address, or loads once more, do so again where the network changed
 * meanwhile: a browser drops its files then. The app asks again for all of them but the first two.
 */
function loadAgain(page: Page): void {
  const [goTo, reload] = [page.goto.bind(page), page.reload.bind(page)];
  page.goto = (...asked) => undisturbed(page, () => goTo(...asked));
  page.reload = (...asked) => undisturbed(page, () => reload(...asked));
}

async function undisturbed<T>(page: Page, load: () => Promise<T>, tries = 10): Promise<T> {
  let isDisturbed = false;
  const failed = (request: Request): void => {
    isDisturbed ||= request.failure()?.errorText.includes(CHANGED) === true;
  };
  page.on("requestfailed", failed);
  try {
    const loaded = await load();
    if (!isDisturbed || tries === 1) return loaded;
  } catch (error) {
    // The browser's own page that tells of it may come late, and end the next try.
    const isChange = /ERR_NETWORK_CHANGED|interrupted by another navigation/.test(String(error));
    if (!isChange || tries === 1) throw error;
  } finally {
    page.off("requestfailed", failed);
  }
  return undisturbed(page, load, tries - 1);
}
