/** Runs: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function Runs({ target }: PageProps) {
  return <h1>Runs {safeText(target)}</h1>;
}
