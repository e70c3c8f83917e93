/** File: to be filled. */
import type { PageProps } from "../page-props.ts";
import { safeText } from "../safe-text.ts";

export function File({ target }: PageProps) {
  return <h1>File {safeText(target)}</h1>;
}
