/** Requests: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function Requests({ target }: PageProps) {
  return <h1>Requests {safeText(target)}</h1>;
}
