/** Backfill: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function Backfill({ target }: PageProps) {
  return <h1>Backfill {safeText(target)}</h1>;
}
