/** A command of `orchd` that does or tells the same in a terminal. A click copies it. */
import { useState } from "preact/hooks";
import { shellWord } from "../../core/shell-word.ts";

/** Words as a shell reads them: those that need quotes get them. */
export function shellLine(words: readonly string[]): string {
  return words.map(shellWord).join(" ");
}

export function Command({ words }: { words: readonly string[] }) {
  const [done, setDone] = useState("");
  const line = shellLine(words);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(line);
      setDone("copied");
    } catch {
      setDone("select it and copy by hand");
    }
    window.setTimeout(() => setDone(""), 2_000);
  };
  return (
    <div class="command">
      <code>{line}</code>
      <button type="button" class="plain" onClick={() => void copy()}>
        {done === "" ? "copy" : done}
      </button>
      <span role="status" class="unseen">
        {done}
      </span>
    </div>
  );
}
