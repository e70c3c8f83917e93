#!/usr/bin/env node
/**
 * The command line's entry. `orchd status` is answered from here, by the little that it takes;
 * every other command comes in with commands.ts, which is built apart from this file
 * (esbuild.config.mjs) so that the quick one does not pay for the others.
 */
import { runFast } from "../src/cli/entry.ts";

const words = process.argv.slice(2);
process.exitCode =
  (await runFast(words)) ?? (await (await import("./commands.ts")).runCommands(words));
