/** A page over a root of made-up ledgers, in this process, and a client that says what it wants. */
import { request, type IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import {
  startPage,
  type PageSettings,
  type ServedPage,
} from "../../src/page/server/page-server.ts";
import { readNotifySetup } from "../../src/schedules/settings-file.ts";
import { madeUpRoot, NOW } from "../support/made-up-root.ts";
import type { TempRoot } from "../support/temp-root.ts";

/** What came back. */
export interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  json<T = Record<string, unknown>>(): T;
}

/** What is asked. */
export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Default: the page's own token. null: none. */
  readonly token?: string | null;
}

/** A page under test. */
export interface PageRig {
  readonly root: TempRoot;
  readonly page: ServedPage;
  readonly port: number;
  /** Asks below the page's address: `/api/v1/status`. The path goes out as it is. */
  ask(path: string, asked?: Asked): Promise<Got>;
}

/** Serves a root until the test is over. Default: made-up ledgers, on a free port of loopback. */
export async function pageRig(
  settings: Partial<PageSettings> = {},
  root: TempRoot = madeUpRoot(),
): Promise<PageRig> {
  const started = await startPage({
    root: root.root,
    schedules: join(root.root, "schedules"),
    runs: root.runs,
    listen: { kind: "tcp", host: "127.0.0.1", port: 0 },
    allowRequests: false,
    tokenFile: undefined,
    token: undefined,
    trustProxy: false,
    base: "",
    assets: join(root.root, "no-assets"),
    now: () => NOW,
    cacheSettings: () => Promise.resolve({ project: "default", enableCache: true }),
    notifySetup: () => Promise.resolve(readNotifySetup(root.root)),
    ...settings,
  });
  if (!started.ok) throw new Error(started.because);
  const { page } = started;
  onTestFinished(() => page.close());
  const port = page.socket === null ? Number(new URL(page.url).port) : 0;
  return {
    root,
    page,
    port,
    ask(path, { method = "GET", headers = {}, body, token = page.token } = {}) {
      return new Promise((resolve, reject) => {
        const asking = request(
          {
            ...(page.socket === null ? { host: "127.0.0.1", port } : { socketPath: page.socket }),
            path,
            method,
            agent: false,
            headers: {
              ...(token === null ? {} : { authorization: `Bearer ${token}` }),
              ...headers,
            },
          },
          (response) => {
            let text = "";
            response.setEncoding("utf8");
            response.on("data", (part: string) => (text += part));
            response.on("error", reject);
            response.on("end", () =>
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                text,
                json: <T>() => JSON.parse(text) as T,
              }),
            );
          },
        );
        asking.on("error", reject);
        asking.end(body);
      });
    },
  };
}
