/** Diff: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function Diff({ target }: PageProps) {
  return <h1>Diff {safeText(target)}</h1>;
}
