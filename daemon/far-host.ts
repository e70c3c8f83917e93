/**
 * What orchd's package does on a machine that is reached by SSH: src/places/ssh/far-side.ts. The
 * daemon starts it there.
 */
import { runFarSide } from "../src/places/ssh/far-side.ts";

const [, program = "", ...words] = process.argv;
await runFarSide(words, program, async () => {
  process.argv.splice(2, process.argv.length, "--stdio");
  await import("./runner.ts");
});
