/** j and k go from row to row of a table. The row's first link gets the focus: Enter opens it. */
import type { RefObject } from "preact";
import { useKeys } from "./keys.ts";

/** @param box holds the rows: each has `data-row` */
export function useRowKeys(box: RefObject<HTMLElement | null>): void {
  const move = (by: number) => (): void => {
    const rows = [...(box.current?.querySelectorAll<HTMLElement>("[data-row]") ?? [])];
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[at === -1 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by))];
    next?.querySelector("a")?.focus();
  };
  useKeys([
    { key: "j", does: "the next row", run: move(1) },
    { key: "k", does: "the row before", run: move(-1) },
  ]);
}
