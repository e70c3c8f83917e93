/** Run: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function Run({ target }: PageProps) {
  return <h1>Run {safeText(target)}</h1>;
}
