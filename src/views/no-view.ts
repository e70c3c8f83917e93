/**
 * What a view gives where it has nothing to show. A missing run and a damaged ledger are expected,
 * so they are values: a command makes an exit status of one, a page an answer.
 */
import { ArtifactUnusable } from "../core/artifact-ref.ts";
import { LedgerFormatError } from "../ledger/ledger-error.ts";

/** Nothing to show, and why. */
export interface NoView {
  readonly ok: false;
  /**
   * `unknown`: there is no such run, pipeline or step. `damaged`: it is there, and this release
   * cannot read it.
   */
  readonly kind: "unknown" | "damaged";
  /** One sentence that says what to do. */
  readonly sentence: string;
}

/** There is no such run, pipeline or step. */
export function unknown(sentence: string): NoView {
  return { ok: false, kind: "unknown", sentence };
}

/** It is there, and it cannot be read. */
export function damaged(sentence: string): NoView {
  return { ok: false, kind: "damaged", sentence };
}

/**
 * What `read` gives. A ledger of a newer format and an artifact that is gone or damaged are
 * {@link NoView} values. @throws whatever else `read` throws
 */
export function unlessDamaged<T>(read: () => T): T | NoView {
  try {
    return read();
  } catch (error) {
    if (error instanceof LedgerFormatError || error instanceof ArtifactUnusable)
      return damaged(error.message);
    throw error;
  }
}
