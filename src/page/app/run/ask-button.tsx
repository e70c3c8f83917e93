/**
 * A button that says what it will do. Pressing it opens the dialog, which shows the command that
 * does the same; the tooltip shows it too.
 */
import type { JSX } from "preact";
import { shellLine } from "../command.tsx";
import { confirmFirst, type Intent } from "../confirm.tsx";
import { mayOperate } from "../here.ts";

/** @param off why it cannot be pressed now; undefined where it can */
export function AskButton({
  intent,
  text,
  note,
  off,
  isPrimary = false,
}: {
  readonly intent: Intent;
  readonly text: string;
  readonly note?: string | undefined;
  readonly off?: string | undefined;
  readonly isPrimary?: boolean;
}): JSX.Element {
  const because = off ?? (mayOperate.value ? undefined : "this page may read, and ask for nothing");
  return (
    <button
      type="button"
      class={isPrimary ? "button primary" : "button"}
      title={because ?? shellLine(intent.command)}
      aria-disabled={because !== undefined}
      onClick={() => {
        if (because === undefined) confirmFirst(intent);
      }}
    >
      {text} {note !== undefined && <small>{note}</small>}
      {because !== undefined && <span class="unseen">{` (${because})`}</span>}
    </button>
  );
}
