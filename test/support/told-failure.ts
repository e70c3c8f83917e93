/** What a test of kills says where it fails: why its run's attempts ended, and what is left. */
import { onTestFailed } from "vitest";
import { linesOf } from "./await-event.ts";
import type { TestEngine } from "./test-engine.ts";

const SAID = /^(step\.(failed|interrupted|stopped|retrying|completed|started|placed)|run\.)/;

/** Has the running test say it. */
export function tellIfFailed(engine: TestEngine, runs: string, ledger: string): void {
  onTestFailed(() => {
    const ends = linesOf(ledger).filter(({ type }) => SAID.test(type));
    const said = ends.map(({ at, type, because, error, ref }) =>
      JSON.stringify([at.slice(17), type, because, error, ref]),
    );
    const filter = `label=orchd.root=${runs}`;
    const { stdout } = engine.run("ps", "--all", "--no-trunc", "--filter", filter);
    process.stderr.write(`${said.join("\n")}\n${stdout}\n`);
  });
}
