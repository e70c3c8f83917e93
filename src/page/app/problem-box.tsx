/** What went wrong, as a sentence where the missing thing would stand. */
import type { ComponentChildren } from "preact";
import type { Problem } from "./api.ts";
import { safeText } from "./safe-text.ts";

export function ProblemBox({
  problem,
  children,
}: {
  problem: Problem;
  children?: ComponentChildren;
}) {
  return (
    <div class="problem" role="alert">
      <b>{safeText(problem.title)}</b>
      <p>{safeText(problem.detail)}</p>
      {children}
    </div>
  );
}

/** What stands where a view will be. It says nothing for the first moment. */
export function Waiting({ what }: { what: string }) {
  return (
    <p class="waiting" role="status">
      Reading {what} …
    </p>
  );
}
