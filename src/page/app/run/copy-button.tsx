/** A small button that copies a text as it stands. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";

/** @param what what is copied, for a screen reader */
export function CopyButton({
  text,
  what,
}: {
  readonly text: string;
  readonly what: string;
}): JSX.Element {
  const [done, setDone] = useState("");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("copied");
    } catch {
      setDone("select it and copy by hand");
    }
    window.setTimeout(() => setDone(""), 2_000);
  };
  return (
    <>
      <button type="button" class="plain" aria-label={`Copy ${what}`} onClick={() => void copy()}>
        {done === "" ? "copy" : done}
      </button>
      <span role="status" class="unseen">
        {done}
      </span>
    </>
  );
}
