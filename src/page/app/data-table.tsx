import type { ComponentChildren, JSX } from "preact";

/**
 * A table that scrolls sideways, and stacks its cells on a phone. A head without words: actions.
 */
export function DataTable({
  label,
  heads,
  children,
}: {
  readonly label: string;
  readonly heads: readonly string[];
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <div class="scrolls" tabIndex={0} role="group" aria-label={label}>
      <table class="data stacked">
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {head === "" ? <span class="unseen">Action</span> : head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
