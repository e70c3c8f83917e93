/** What a client rejects with where it has no answer to give. */

/**
 * Why there is no answer:
 *
 * - `usage`: what was given is wrong;
 * - `unknown`: there is no such root, pipeline, run or step;
 * - `damaged`: it is there, and this release cannot read it;
 * - `forbidden`: this user may not read it, or may not ask;
 * - `silent`: a daemon lives, and has not answered for a minute. The request is kept.
 */
export type ClientFault = "usage" | "unknown" | "damaged" | "forbidden" | "silent";

/** An expected failure of a {@link Client}. The message is a sentence that says what to do. */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientFault;

  constructor(code: ClientFault, message: string) {
    super(message);
    this.code = code;
  }
}
