#!/usr/bin/env node
/**
 * The entry of the command line. It answers `orchd status` with the few files that this takes.
 * Every other command is loaded with commands.ts, which is built apart from this file
 * (esbuild.config.mjs): the quick command does not pay for the others.
 */
import { runFast } from "../src/cli/entry.ts";

const words = process.argv.slice(2);
process.exitCode =
  (await runFast(words)) ?? (await (await import("./commands.ts")).runCommands(words));
