/**
 * What a daemon does where something is thrown that nobody catches: a fault of orchd's own. What it
 * was about to do is unknown, so nothing more is done. It ends as if it were killed: the next one
 * takes over by the ledgers, and all that was acknowledged is in them.
 */
import type { Log } from "../log.ts";

const SENTENCE =
  "something was thrown that orchd does not expect: the daemon ends at once, and the next one " +
  "goes on by the ledgers; this is a fault of orchd, so please report it with this line";
/** So many ends in a row are no chance. */
const MANY = 3;

/** A log whose last line says why the process ends. */
interface LastLog {
  fatal(fields: object, message: string): void;
}

/**
 * Ends this process, with a line of its log, where something is thrown that nobody catches.
 *
 * @param end default: `process.exit(1)`
 */
export function endAtUnforeseen(log: LastLog, end: () => void = () => process.exit(1)): void {
  // A rejection that nobody hears comes here too.
  process.on("uncaughtException", (thrown: unknown) => {
    const err = thrown instanceof Error ? thrown : new Error(`this was thrown: ${String(thrown)}`);
    log.fatal({ err }, SENTENCE);
    end();
  });
}

/**
 * Tells that daemons end again and again.
 *
 * @param lost how many in a row ended without being told to, within ten minutes
 */
export function tellLost(log: Pick<Log, "warn">, lost: number): void {
  if (lost < MANY) return;
  log.warn(
    { lost },
    `${lost} daemons in a row ended within ten minutes without being told to: ` +
      "if nobody killed them, their last lines in this log say why",
  );
}
