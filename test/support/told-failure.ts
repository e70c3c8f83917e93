/** What a test of kills says where it fails: why its run's attempts ended, and what is left. */
import { onTestFinished } from "vitest";
import { linesOf } from "./await-event.ts";
import type { TestEngine } from "./test-engine.ts";

const SAID = /^(step|run)\./;

/** Has the running test say it, before its root is removed. */
export function tellIfFailed(engine: TestEngine, runs: string, ledger: string): void {
  onTestFinished(({ task }) => {
    if (task.result?.state !== "fail") return;
    const said = linesOf(ledger)
      .filter(({ type }) => SAID.test(type))
      .map(({ at, type, because, error, ref }) =>
        JSON.stringify([at.slice(17), type, because, error, ref]),
      );
    const filter = `label=orchd.root=${runs}`;
    const { stdout } = engine.run("ps", "--all", "--no-trunc", "--filter", filter);
    process.stderr.write(`${task.name}\n${said.join("\n")}\n${stdout}\n`);
  });
}
