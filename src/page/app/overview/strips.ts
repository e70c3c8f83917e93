/** The strips of rows that the view came without: asked for when they are in sight, and kept. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { PipelineRow, PipelineStrip, StripMark } from "../../../views/overview.ts";
import { useView } from "../view.ts";

/** Rows that are only scrolled past are not asked for. */
const SETTLED_MS = 80;

export function useStrips(rows: readonly PipelineRow[]): ReadonlyMap<string, readonly StripMark[]> {
  const missing = rows.filter(({ strip }) => strip === null).map(({ name }) => name);
  const asked = useSettled(missing.join(","));
  const { value } = useView<readonly PipelineStrip[]>(
    asked === "" ? null : `strips?pipelines=${encodeURIComponent(asked)}`,
  );
  const kept = useRef(new Map<string, readonly StripMark[]>());
  for (const { pipeline, strip } of value ?? []) kept.current.set(pipeline, strip);
  return kept.current;
}

/** The text, once it has stayed the same for a moment. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = window.setTimeout(() => setSettled(text), SETTLED_MS);
    return () => window.clearTimeout(timer);
  }, [text]);
  return settled;
}
