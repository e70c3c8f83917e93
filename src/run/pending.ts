/**
 * Thrown where a decision needs an answer that is not there yet. Who decides waits for `answer`,
 * and decides again from the start: then the answer is known.
 *
 * So most decisions, which need no such answer, are made at once, by code that waits for nothing.
 */
export class Pending extends Error {
  override readonly name = "Pending";
  readonly answer: Promise<unknown>;
  constructor(answer: Promise<unknown>) {
    super("the answer is not there yet");
    this.answer = answer;
  }
}

/** Decides, as often as answers have to be waited for. */
export function decideWhenKnown<T>(decide: () => T | Promise<T>): T | Promise<T> {
  try {
    return decide();
  } catch (error) {
    if (!(error instanceof Pending)) throw error;
    return error.answer.then(() => decideWhenKnown(decide));
  }
}
