/** Runners behind stdin and stdout, as they are on other machines, here as plain children. */
import { systemClock } from "../../src/clock.ts";
import { builtProgram } from "../../src/disk/built-program.ts";
import { killByToken } from "../../src/places/pool/kill-by-token.ts";
import type { LaunchRunner } from "../../src/places/pool/runner-process.ts";
import type { StreamPlace } from "../../src/places/pool/stream-place.ts";
import { streamRunner } from "../../src/places/pool/stream-runner.ts";

/** Launches `runner.js --stdio`. */
export function stdioRunner(more: Partial<StreamPlace> = {}): LaunchRunner {
  return streamRunner({
    clock: systemClock,
    where: "over there",
    command: () => ({ words: [process.execPath, builtProgram("runner"), "--stdio"] }),
    end: (token) => {
      killByToken(token);
      return Promise.resolve({});
    },
    ...more,
  });
}
