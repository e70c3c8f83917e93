/** Pipeline: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function Pipeline({ target }: PageProps) {
  return <h1>Pipeline {safeText(target)}</h1>;
}
