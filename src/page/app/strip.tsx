/**
 * A pipeline's last slots, newest at the right. Each mark is a link with its sentence. The strip is
 * one stop of the Tab key: the arrows go from mark to mark.
 */
import type { StripMark } from "../../views/overview.ts";
import { hrefOfMark, MarkTip } from "./mark-tip.tsx";
import { MarkShape, markSentence } from "./marks.tsx";
import { enterTip, hideTip, showTip } from "./tip.tsx";

const PITCH = 11;
const HEIGHT = 24;
/** The room that a focus ring needs. */
const PAD = 1;

export function Strip({ pipeline, marks }: { pipeline: string; marks: readonly StripMark[] }) {
  if (marks.length === 0) return <span class="mute">has not fired yet</span>;
  const width = marks.length * PITCH - 2 + 2 * PAD;
  return (
    <svg
      class="strip"
      role="group"
      aria-label={`Last slots of ${pipeline}, oldest first`}
      width={width}
      height={HEIGHT + 2 * PAD}
      viewBox={`${-PAD} ${-PAD} ${width} ${HEIGHT + 2 * PAD}`}
      onKeyDown={moveFocus}
    >
      {marks.map((mark, index) => (
        <MarkLink
          key={`${mark.slot} ${mark.schedule} ${mark.run}`}
          pipeline={pipeline}
          mark={mark}
          x={index * PITCH}
          isStop={index === marks.length - 1}
        />
      ))}
    </svg>
  );
}

function MarkLink({
  pipeline,
  mark,
  x,
  isStop,
}: {
  pipeline: string;
  mark: StripMark;
  x: number;
  isStop: boolean;
}) {
  const open = (event: Event): void =>
    showTip(event.currentTarget as Element, () => <MarkTip pipeline={pipeline} mark={mark} />);
  return (
    <a
      class="mark"
      href={hrefOfMark(pipeline, mark)}
      aria-label={markSentence(mark)}
      tabindex={isStop ? 0 : -1}
      onMouseEnter={open}
      onMouseLeave={hideTip}
      onFocus={open}
      onBlur={hideTip}
    >
      <g transform={`translate(${x} 0)`}>
        <rect x="-1" y="0" width={PITCH} height={HEIGHT} fill="transparent" />
        <MarkShape {...mark} height={HEIGHT} />
      </g>
    </a>
  );
}

/** Left and Right go from mark to mark, Home and End to the ends, Down into the tooltip. */
export function moveFocus(event: KeyboardEvent): void {
  const box = event.currentTarget as Element;
  const links = [...box.querySelectorAll<SVGAElement>("a")];
  const at = links.indexOf(document.activeElement as SVGAElement);
  if (at === -1) return;
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: links.length - 1 }[event.key];
  if (next !== undefined) {
    links[Math.max(0, Math.min(links.length - 1, next))]!.focus();
    event.preventDefault();
  } else if (event.key === "ArrowDown" && enterTip()) event.preventDefault();
}
