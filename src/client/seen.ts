/** What a view shows, or the error that says why it shows nothing. */
import type { NoView } from "../views/no-view.ts";
import { ClientError } from "./client-error.ts";

/** What a view gave. @throws ClientError where it has nothing to show */
export function seen<T extends { readonly ok: true }>(view: T | NoView): T {
  if (view.ok) return view;
  throw new ClientError(view.kind, view.sentence);
}
