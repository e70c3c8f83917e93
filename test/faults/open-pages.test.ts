/**
 * Two pages stay open while pipelines fire, many a second, and nothing in them grows: neither the
 * heap after a garbage collection, nor the elements, nor the listeners.
 *
 * In full it takes ten minutes (FAULTS=1; FAULTS_SHARE=0.3 takes three). `npm test` leaves it out.
 */
import type { CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { servedRoot, type Served } from "../page/page-daemon.ts";
import { storyFiles } from "../page/story-root.ts";
import { hasBrowser, withBrowser } from "../support/browser.ts";
import { fullFigures, trials } from "../support/figures.ts";

const SECONDS = trials(60, 600);
/** Until then strips and lists fill up, and the browser compiles what it needs. */
const WARM_UP = SECONDS / 3;
const LOOKS = 8;

/** What a page holds, after a garbage collection. */
interface Held {
  readonly heapMiB: number;
  readonly elements: number;
  readonly listeners: number;
}

const pages = withBrowser();

describe.runIf(hasBrowser && fullFigures)("two pages that stay open", () => {
  let served: Served;
  beforeAll(async () => {
    served = await servedRoot(storyFiles("seconds"));
  });
  afterAll(() => served?.end());

  it(
    `do not grow in ${SECONDS} s of fires`,
    async () => {
      const open = await Promise.all(
        ["", "runs"].map(async (path) => {
          const page = await pages.open(served.link(path));
          await page.locator("main h1").waitFor();
          const session = await page.context().newCDPSession(page);
          await session.send("Performance.enable");
          return { path, page, session };
        }),
      );
      await passed(open[0]!.page, WARM_UP);
      const seen: Held[][] = [];
      for (let look = 0; look < LOOKS; look += 1) {
        seen.push(await Promise.all(open.map(({ session }) => heldBy(session))));
        await passed(open[0]!.page, (SECONDS - WARM_UP) / LOOKS);
      }
      for (const [index, { path }] of open.entries()) {
        const own = seen.map((look) => look[index]!);
        process.stdout.write(`/${path}: ${own.map(heldText).join(", ")}\n`);
        // The medians of both halves: one look can fall into a redraw.
        const [before, after] = [own.slice(0, LOOKS / 2), own.slice(LOOKS / 2)].map(medians);
        expect(after!.heapMiB).toBeLessThan(before!.heapMiB * 1.05 + 0.5);
        expect(after!.elements).toBeLessThan(before!.elements * 1.05 + 50);
        expect(after!.listeners).toBeLessThan(before!.listeners * 1.05 + 20);
      }
    },
    (SECONDS + 120) * 1_000,
  );
});

/** Waits by the page's own clock. */
async function passed(page: Page, seconds: number): Promise<void> {
  await page.waitForTimeout(seconds * 1_000);
}

async function heldBy(session: CDPSession): Promise<Held> {
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  const of = (name: string): number => metrics.find((one) => one.name === name)?.value ?? 0;
  return {
    heapMiB: of("JSHeapUsedSize") / 2 ** 20,
    elements: of("Nodes"),
    listeners: of("JSEventListeners"),
  };
}

function heldText({ heapMiB, elements, listeners }: Held): string {
  return `${heapMiB.toFixed(2)} MiB ${elements} nodes ${listeners} listeners`;
}

function medians(held: readonly Held[]): Held {
  const median = (of: (one: Held) => number): number =>
    held.map(of).toSorted((a, b) => a - b)[Math.floor(held.length / 2)]!;
  return {
    heapMiB: median(({ heapMiB }) => heapMiB),
    elements: median(({ elements }) => elements),
    listeners: median(({ listeners }) => listeners),
  };
}
