/** Sentences from ledgers: safe to read, and with their times in the chosen zone. */
import { safeText } from "./safe-text.ts";
import { fullTime } from "./zone.ts";

const ISO_TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

/** The sentence to show; "" for none. */
export function sentence(text: string | null | undefined): string {
  return safeText((text ?? "").replace(ISO_TIME, fullTime));
}
