/** Buttons in a row of which one is chosen. They are links: each choice has its own address. */
export interface Segment {
  readonly text: string;
  readonly href: string;
  readonly isChosen: boolean;
  /** A longer text for a screen reader. */
  readonly label?: string;
}

export function Segments({
  label,
  segments,
  isSmall = false,
}: {
  label: string;
  segments: readonly Segment[];
  isSmall?: boolean;
}) {
  return (
    <div class={isSmall ? "segments small" : "segments"} role="group" aria-label={label}>
      {segments.map(({ text, href, isChosen, label: long }) => (
        <a key={text} href={href} aria-current={isChosen ? "true" : undefined} aria-label={long}>
          {text}
        </a>
      ))}
    </div>
  );
}
