/**
 * The port of what carries a message to people. One file a kind of channel below channels/; none
 * knows another. A channel sends and no more: when to try again is decided by deliveries.ts.
 */
import type { Alert } from "../core/alert.ts";

/** A message as a channel gets it: the alert, and its texts, which hold no secret. */
export interface Message {
  readonly alert: Alert;
  /** One line, without control characters, at most 200 characters: a mail's subject. */
  readonly title: string;
  /**
   * Plain text: status, because, the last lines of the log, the link and the command that says
   * more. Without control characters but line feeds, at most 16 KiB.
   */
  readonly text: string;
  /** The page's address of the run or the pipeline; undefined where orchd.yaml has no `url`. */
  readonly url?: string;
  /** It tries the channel: nothing happened. */
  readonly test?: boolean;
}

/** What became of one try. `because`: one line without secrets. */
export type Sent =
  | { readonly ok: true; readonly answer?: string }
  | {
      readonly ok: false;
      readonly because: string;
      /** No later try can help, as with an address that does not exist. */
      readonly final?: boolean;
      /** The receiver says when it may be tried again, in milliseconds from now. */
      readonly retryAfterMs?: number;
    };

/** Carries messages one way. */
export interface Channel {
  readonly name: string;
  /**
   * Tries to send. Never throws. The alert's key goes with the message in the way that the kind
   * has: Message-ID, Idempotency-Key, a de-duplication key.
   *
   * @param signal aborted where the channel's time is over or the program ends
   */
  send(message: Message, signal: AbortSignal): Promise<Sent>;
  /** Lets go of connections. */
  close(): void;
}
