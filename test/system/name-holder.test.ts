/**
 * A stray copy of a pipeline's file, under a real daemon and at the command line: the file that
 * holds the name keeps it, and a copy takes over when it goes.
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { awaitLine, awaitLines, linesOf } from "../support/await-event.ts";
import { ask } from "../support/asked-command.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { tempRoot } from "../support/temp-root.ts";

const nightly = (word: string): string =>
  `name: nightly
schedule: { cron: "* * * * * *" }
overlap: allow
params: { word: ${word} }
steps: { say: { run: 'echo "$ORCHD_PARAM_word"', params: { word: "\${params.word}" } } }
`;

interface Status {
  readonly pipelines: readonly { readonly name: string; readonly errors: readonly string[] }[];
}

it(
  "the file that holds a name keeps it beside a copy, over a restart, and can be renamed",
  { timeout: 60_000 },
  async () => {
    const { root, runs, schedules } = tempRoot({ "schedules/nightly.yaml": nightly("first") });
    const path = (name: string): string => join(schedules, name);
    const ledger = join(runs, "nightly", "pipeline.jsonl");
    const copy = path("nightly (copy).yaml");
    const errorsOf = async (name: string): Promise<readonly string[]> =>
      (await ask(root, "status", "--json"))
        .json<Status>()
        .pipelines.find((one) => one.name === name)?.errors ?? [];
    const wordOf = async (): Promise<unknown> => {
      const { run } = (await ask(root, "run", "nightly", "--wait", "--json")).json<{
        run: string;
      }>();
      const printed = await ask(root, "logs", run, "--json");
      return printed.jsonLines<{ line: string }>()[0]!.line;
    };
    const first = await startDaemon({ root });
    await awaitLine(ledger, ({ type }) => type === "pipeline.loaded");
    writeFileSync(copy, nightly("copy"));
    await awaitLine(
      join(runs, "nightly--copy-", "pipeline.jsonl"),
      ({ type }) => type === "pipeline.invalid",
    );
    expect(await errorsOf("nightly--copy-")).toEqual([
      `${copy}: the name "nightly" is taken by ${path("nightly.yaml")}; ` +
        "give this pipeline another name",
    ]);
    writeFileSync(path("nightly.yaml"), nightly("edited"));
    await awaitLines(ledger, 2, ({ type }) => type === "pipeline.loaded");
    expect(await wordOf()).toBe("edited");

    await first.end();
    // Without a daemon the commands go by the same file.
    expect(
      (await ask(root, "validate", "--json")).json<{ file: string; valid: boolean }[]>(),
    ).toMatchObject([
      { file: copy, valid: false, errors: [expect.stringContaining(path("nightly.yaml"))] },
      { file: path("nightly.yaml"), valid: true },
    ]);
    expect((await ask(root, "validate", copy)).status).toBe(2);
    const alone = await orchd(root, "run", "nightly", "--foreground", "--json");
    expect(alone.status).toBe(0);

    const second = await startDaemon({ root });
    expect(await wordOf()).toBe("edited");
    renameSync(path("nightly.yaml"), path("z-nightly.yaml"));
    await awaitLine(ledger, ({ file }) => file === path("z-nightly.yaml"));
    expect(await wordOf()).toBe("edited");
    expect(linesOf(ledger).filter(({ type }) => /invalid|removed/.test(type))).toEqual([]);

    rmSync(path("z-nightly.yaml"));
    await awaitLine(ledger, ({ file }) => file === copy);
    expect(await wordOf()).toBe("copy");
    expect(await errorsOf("nightly--copy-")).toEqual([]);
    await second.end();
  },
);
