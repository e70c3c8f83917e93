/** Slots: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function Slots({ target }: PageProps) {
  return <h1>Slots {safeText(target)}</h1>;
}
