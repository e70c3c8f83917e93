/**
 * Holds a runner in which a shell step writes a line to a file every 100 ms, and prints `held` once
 * it does. Arguments: `fork` or `stdio`, the folder, and the lease of a forked runner in
 * milliseconds.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../src/clock.ts";
import { forkRunner } from "../../../src/places/local/runner-child.ts";
import { RunnerPool } from "../../../src/places/pool/runner-pool.ts";
import { stdioRunner } from "../../support/stdio-runner.ts";

const [kind = "", folder = "", lease = "0"] = process.argv.slice(2);
const bundles = join(folder, "bundles");
mkdirSync(bundles, { recursive: true });
const pool = new RunnerPool({
  clock: systemClock,
  launch: kind === "fork" ? forkRunner : stdioRunner(),
  settings: {
    threads: 1,
    bundles,
    scratch: join(folder, "scratch"),
    token: `holder-${process.pid}`,
    leaseMs: kind === "fork" ? Number(lease) : undefined,
  },
});
pool.start(
  "held@1#1",
  {
    kind: "shell",
    text: `while :; do echo . >> ${join(folder, "beats")}; echo beat; sleep 0.1; done`,
    shell: ["/bin/sh", "-eu"],
    cwd: "",
    params: {},
    inputs: {},
    run: { id: "held@1", pipeline: "held", attempt: 1 },
    step: "it",
    env: {},
    gracePeriodMs: 200,
  },
  {
    done: (result) => void process.stdout.write(`done ${JSON.stringify(result)}\n`),
    died: ({ because }) => void process.stdout.write(`died ${because}\n`),
    output: () => void process.stdout.write("held\n"),
  },
);
