import { readFileSync } from "node:fs";

/** How many files a daemon and a runner have open with nothing to do, and some room. */
const LEAST = 128;

/**
 * Why this process cannot be a daemon: it may open too few files (`ulimit -n`). Undefined if it may
 * open enough, or if the system does not say.
 */
export function tooFewDescriptors(): string | undefined {
  const limit = descriptorLimit();
  if (limit === undefined || limit >= LEAST) return undefined;
  return (
    `this process may open only ${limit} files, and a daemon needs ${LEAST} at least; ` +
    "raise the limit (ulimit -n 1024, LimitNOFILE= in a unit) and start it again."
  );
}

/** The soft limit; Node has raised it to the hard one. */
function descriptorLimit(): number | undefined {
  try {
    const limits = readFileSync("/proc/self/limits", "latin1");
    const found = /^Max open files +(\d+)/m.exec(limits)?.[1];
    return found === undefined ? undefined : Number(found);
  } catch {
    return undefined;
  }
}
