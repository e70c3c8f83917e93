/** Lines of `runs/.orchd/places.jsonl`, as a reader finds them: place-history.ts writes them. */
import { join } from "node:path";
import type { PlaceReport } from "../core/place-report.ts";
import { readOwnText } from "../disk/own-file.ts";
import { readableLines } from "./readable-lines.ts";

/** A place as the daemon of this epoch knew it. */
export interface PlaceChanged extends PlaceReport {
  readonly at: string;
  readonly type: "place.changed";
  readonly epoch: number;
}

/** A place that orchd.yaml has no more. */
export interface PlaceRemoved {
  readonly at: string;
  readonly type: "place.removed";
  readonly epoch: number;
  readonly place: string;
}

/** One line. */
export type PlaceLine = PlaceChanged | PlaceRemoved;

/** The newest report of each place, by its name; none where no daemon wrote any. */
export function readPlaces(orchdDir: string): readonly PlaceChanged[] {
  return [...newestOfPlaces(readPlaceLines(placesPath(orchdDir))).values()].filter(
    (line) => line.type === "place.changed",
  );
}

/** Where they are. */
export function placesPath(orchdDir: string): string {
  return join(orchdDir, "places.jsonl");
}

/** The newest line of each place. */
export function newestOfPlaces(lines: readonly PlaceLine[]): Map<string, PlaceLine> {
  return new Map(lines.map((line) => [line.place, line]));
}

/** Whether a file ends in a line's end, or is empty, or is not there. */
export function endsWhole(path: string): boolean {
  try {
    const text = readOwnText(path);
    return text === "" || text.endsWith("\n");
  } catch {
    return true;
  }
}

/** The lines that can be read, oldest first. One of another type is passed over. */
export function readPlaceLines(path: string): PlaceLine[] {
  return (readableLines(path) as object[]).filter(isPlaceLine);
}

function isPlaceLine(value: object): value is PlaceLine {
  const { type, place, at, labels, hosts, engine } = value as Record<string, unknown>;
  if (typeof place !== "string" || typeof at !== "string") return false;
  if (type === "place.removed") return true;
  const isListed = Array.isArray(labels) && Array.isArray(hosts) && typeof engine === "string";
  return type === "place.changed" && isListed;
}
