/** What a person and the log are told of the page that the daemon keeps running. */
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, it } from "vitest";
import type { PageSettings } from "../../src/core/settings.ts";
import { SupervisedPage } from "../../src/supervise/supervised-page.ts";
import { onTestFinished } from "../support/running-test.ts";
import { tempRoot } from "../support/temp-root.ts";
import { systemClock } from "../../src/clock.ts";

/** A page that answers and stays: where it was told to be, with the token that it was given. */
const PAGE = `
const at = process.argv[process.argv.indexOf("--listen") + 1];
const token = process.env.ORCHD_PAGE_TOKEN;
const answer = at === "127.0.0.1:9" ? {} : { url: "http://" + at + "/", token: token ?? null };
process.stdout.write(JSON.stringify(answer) + "\\n");
setInterval(() => {}, 1000);
`;

/** @param first the page of the settings; undefined: they have none, and a person asks for it */
function rig(first: Partial<PageSettings> | undefined, isSeen = true, asked = false) {
  const { root, write } = tempRoot();
  const path = write("page.cjs", PAGE);
  const links: string[] = [];
  const told: string[] = [];
  const waits: (() => void)[] = [];
  const note = (level: string) => (_: object, sentence: string) => {
    // Of the program's own start, the supervisor's tests tell.
    if (!/^(?:the page (?:is at|serves)|port)/.test(sentence)) return;
    told.push(`${level}: ${sentence}`);
    // The link is shown after it.
    if (!sentence.startsWith("port")) queueMicrotask(() => waits.shift()?.());
  };
  const plain = { requests: false, trustProxy: false };
  let settings: PageSettings | undefined = first && { ...plain, ...first };
  const page = new SupervisedPage({
    clock: systemClock,
    log: {
      debug: note("debug"),
      info: note("info"),
      warn: note("warn"),
      error: note("error"),
    },
    roots: { root, schedules: root, runs: root },
    program: () => path,
    mark: "its-mark",
    settings: () => settings,
    asked,
    showLink: isSeen ? (link) => void links.push(link) : undefined,
  });
  onTestFinished(() => page.close());
  const answered = (): Promise<void> => new Promise((resolve) => void waits.push(resolve));
  return {
    links,
    told,
    begin: () => Promise.all([answered(), page.begin()]),
    /** Other settings start it again. */
    again: (more: Partial<PageSettings>) => {
      settings = { ...plain, ...settings, ...more };
      const done = answered();
      page.refresh();
      return done;
    },
  };
}

it("shows a link once, with one token, and again only where the page is elsewhere", async () => {
  const page = rig({ listen: "127.0.0.1:81" });
  await page.begin();
  await page.again({ requests: true });
  await page.again({ listen: "127.0.0.1:82" });
  await page.again({ listen: "127.0.0.1:9" });
  const [first, second, ...others] = page.links.map((link) => link.split("#token="));
  expect([first?.[0], second?.[0], others]).toEqual([
    "http://127.0.0.1:81/",
    "http://127.0.0.1:82/",
    [],
  ]);
  expect(first?.[1]).toMatch(/^[\w-]{43}$/);
  expect(second?.[1]).toBe(first?.[1]);
  expect(page.told).toEqual([
    "info: the page is at http://127.0.0.1:81/",
    "info: the page is at http://127.0.0.1:81/",
    "info: the page is at http://127.0.0.1:82/",
    "warn: the page serves, but did not say where",
  ]);
});

it("says that nobody sees the token, where nobody does and no file has it", async () => {
  const page = rig({ listen: "127.0.0.1:81" }, false);
  await page.begin();
  await page.again({ tokenFile: "t" });
  expect(page.told).toEqual([
    "info: the page is at http://127.0.0.1:81/; its token is new at each start and stands in no " +
      "log: give page.tokenFile in orchd.yaml, or listen on a unix socket",
    "info: the page is at http://127.0.0.1:81/",
  ]);
  expect(page.links).toEqual([]);
});

it("that a person asks for has a free port where the usual one is taken, and says so", async () => {
  const [host, port] = ["127.0.0.1", 4114];
  const other = createServer();
  onTestFinished(() => void other.close());
  other.listen(port, host);
  // Where another program has the port already, it is taken all the same.
  await Promise.race([once(other, "listening"), once(other, "error").catch(() => undefined)]);
  const page = rig(undefined, true, true);
  await page.begin();
  const free = Number(new URL(page.links[0]!).port);
  expect(free).toBeGreaterThan(0);
  expect(free).not.toBe(port);
  expect(page.told).toEqual([
    `warn: port ${port} of ${host} is taken by another program: the page has port ${free}`,
    `info: the page is at http://${host}:${free}/`,
  ]);
  // What the settings say from then on goes before it.
  await page.again({ listen: "127.0.0.1:81" });
  expect(page.told.at(-1)).toBe("info: the page is at http://127.0.0.1:81/");
});
