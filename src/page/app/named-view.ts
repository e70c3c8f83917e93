/**
 * A view of what an address names, a run or a pipeline. The stream of lines of something that is
 * not there is refused: once the view says so, lines of anything make it ask again, as it may come.
 */
import { useEffect, useState } from "preact/hooks";
import type { Scope } from "./live.ts";
import { useView, type View } from "./view.ts";

const ANYTHING: Scope = {};

/** As {@link useView}. */
export function useNamed<T>(route: string | null, scope: Scope): View<T> {
  const [isMissing, setMissing] = useState(false);
  const view = useView<T>(route, isMissing ? ANYTHING : scope);
  const missing = view.problem?.status === 404;
  useEffect(() => setMissing(missing), [missing]);
  return view;
}
