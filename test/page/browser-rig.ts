/** A page in a real browser, over a root of made-up ledgers, in this process. */
import { join } from "node:path";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import type { BrowserContextOptions, Page } from "playwright-core";
import { expect } from "vitest";
import { fullFigures } from "../support/figures.ts";
import type { PageSettings } from "../../src/page/server/page-server.ts";
import type { Pages } from "../support/browser.ts";
import { projectRoot, type TempRoot } from "../support/temp-root.ts";
import { pageRig, type PageRig } from "./page-rig.ts";

/** The root's page, served and opened. */
export interface OpenPage extends PageRig {
  readonly browser: Page;
  /** The URL of a path below the page, with the token: `slots?span=24h`. */
  url(path: string): string;
}

/** Opens a path of the page, with the built app. Its view may be drawn later. */
export async function openPage(
  pages: Pages,
  path: string,
  {
    root,
    expects,
    browser: options,
    ...settings
  }: Partial<Omit<PageSettings, "root">> & {
    readonly root?: TempRoot;
    readonly browser?: BrowserContextOptions;
    readonly expects?: RegExp;
  } = {},
): Promise<OpenPage> {
  const rig = await pageRig(
    { assets: join(projectRoot, "dist/page"), allowRequests: true, ...settings },
    ...(root === undefined ? [] : ([root] as const)),
  );
  const url = (below: string): string => {
    const base = new URL(rig.page.url);
    return `${base.origin}${base.pathname}${below}#token=${rig.page.token}`;
  };
  const browser = await pages.open(url(path), {
    ...options,
    ...(expects === undefined ? {} : { expects }),
  });
  return { ...rig, browser, url };
}

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The rules of WCAG 2.2 AA that the page breaks, each with the element. */
export async function violationsOf(page: Page): Promise<string[]> {
  // By the debugger: the page's policy lets no script in, and that is as it should be.
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe);
  return page.evaluate(async () => {
    const run = (globalThis as unknown as { axe: { run: AxeRun } }).axe.run;
    // What holds is not told element by element: that is most of the work.
    const { violations } = await run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag22aa"],
      resultTypes: ["violations"],
    });
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
  });
}

type AxeRun = (
  where: Document,
  options: unknown,
) => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;

/** Checks that nothing of the page is wider than the window. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const [whole, seen] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  expect(whole).toBeLessThanOrEqual(seen);
}

/** Each width and each scheme once; FAULTS=1 has the two others too. */
const LOOKS = [
  [1_400, "light"],
  [420, "dark"],
  ...(fullFigures
    ? ([
        [1_400, "dark"],
        [420, "light"],
      ] as const)
    : []),
] as const;

/**
 * Checks that an open page keeps WCAG AA and fits its window, wide and narrow, in light and dark.
 * It is loaded once, and looks in another way then: most of the cost is in loading.
 */
export async function expectForEverybody(page: Page): Promise<void> {
  for (const [width, colorScheme] of LOOKS) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    // What measures its width draws again in the next frame.
    await page.evaluate(
      () => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))),
    );
    const where = `${new URL(page.url()).pathname} at ${width} px, ${colorScheme}`;
    expect([where, await violationsOf(page)]).toEqual([where, []]);
    await expectNoSidewaysScroll(page);
  }
}
