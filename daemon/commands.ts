/**
 * Every command, and the programs that some of them start. src/cli knows nothing above itself, so
 * it gets them from here, and each is loaded only when it is started.
 */
import { runCommandLine } from "../src/cli/program.ts";

/** Runs one command to its end. @returns the exit status */
export function runCommands(words: readonly string[]): Promise<number> {
  return runCommandLine(words, {
    startDaemon: async (options) => (await import("./daemon.ts")).runDaemon(options),
    readMetrics: async ({ runs }) => (await import("./metrics.ts")).readMetrics(runs),
    exportTraces: async (options) => (await import("./otlp.ts")).exportTraces(options),
    servePage: async (options) => (await import("./page.ts")).runPage(options),
    preparePlace: async (options) => (await import("./prepare-place.ts")).preparePlace(options),
    serveWorker: async (options) => (await import("./place-worker.ts")).runWorker(options),
    tellPeople: async (options) => (await import("./notify.ts")).runNotify(options),
  });
}
