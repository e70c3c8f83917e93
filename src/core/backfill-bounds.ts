/** Which backfills are refused for their slots: the daemon and a dry run say it alike. */

/** The most slots that one backfill may have. */
export const MOST_BACKFILL_SLOTS = 100_000;

/**
 * Why there can be no such backfill; undefined where there can.
 *
 * @param from the first and `to` the last moment, ISO 8601
 * @param slots how many slots lie between the two
 */
export function whyNoBackfill(
  pipeline: string,
  { from, to }: { readonly from: string; readonly to: string },
  slots: number,
): string | undefined {
  if (slots === 0) return `pipeline ${JSON.stringify(pipeline)} has no slot from ${from} to ${to}`;
  return slots > MOST_BACKFILL_SLOTS
    ? `more than ${MOST_BACKFILL_SLOTS} slots lie from ${from} to ${to}; ask for them in parts`
    : undefined;
}
