/** How a step's error arrives in the ledger and on the terminal: its causes, and its places. */
import { createServer } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";
import { daemonOver, orchd, type Daemon } from "../support/daemon.ts";
import type { PlainRun } from "../support/ledgers.ts";
import { ended, submit } from "../support/request.ts";
import type { TempRoot } from "../support/temp-root.ts";

interface SeenError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack: string;
  readonly cause?: SeenError;
  readonly errors?: readonly SeenError[];
}

const FILES: Record<string, string> = {
  "schedules/fetch.yaml": `params: { url: "" }
steps:
  ask:
    uses: ./steps/fetch.ts
    params: { url: "\${params.url}" }
    retry: { maxRetries: 2, on: [ECONNREFUSED] }
    hooks: { onFailure: ./steps/fetch.ts#told }
`,
  "schedules/steps/fetch.ts": `
export default async ({ params }: any) => (await fetch(params.url)).status;
export const told = ({ error }: any) => console.log("told", error.cause.code);\n`,
};

/** A port of this machine that nothing listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

const errorsOf = (run: PlainRun): SeenError[] =>
  run.lines.filter(({ type }) => type === "step.failed").map(({ error }) => error as SeenError);

describe("a step's error", () => {
  let root: TempRoot;
  let daemon: Daemon;

  beforeAll(async () => {
    ({ root, daemon } = await daemonOver(FILES));
    return async () => void (await daemon.end());
  });

  it("is retried for what caused it, and shown with that everywhere", async () => {
    const url = `http://127.0.0.1:${await closedPort()}/`;
    const run = await ended(root.runs, await submit(root.runs, "fetch", { url }));
    const errors = errorsOf(run);
    expect(errors).toHaveLength(3);
    expect(errors[0]).toMatchObject({
      name: "TypeError",
      message: "fetch failed",
      cause: { code: "ECONNREFUSED", stack: expect.stringContaining("ECONNREFUSED") },
    });
    const said = /fetch failed \(cause: connect ECONNREFUSED 127\.0\.0\.1:\d+\)/;
    expect(run.lines.at(-1)).toMatchObject({ because: expect.stringMatching(said) });
    const status = await orchd(root.root, "status", run.run);
    expect(status.stdout).toMatch(said);
    const { steps } = (await orchd(root.root, "status", run.run, "--json")).json<{
      steps: { error: SeenError }[];
    }>();
    expect(steps[0]!.error.cause!.code).toBe("ECONNREFUSED");
    const logs = await orchd(root.root, "logs", run.run);
    expect(logs.stdout).toContain("told ECONNREFUSED");
    expect(logs.stdout).toMatch(/ask failed:\n {2}TypeError: fetch failed\n/);
    expect(logs.stdout).toMatch(/\[cause\] .*connect ECONNREFUSED/);
    expect((await orchd(root.root, "logs", run.run, "--json")).jsonLines()).toHaveLength(1);
    expect((await orchd(root.root, "tail", "fetch")).stdout).toMatch(said);
  });
});
