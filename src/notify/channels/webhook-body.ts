/** The alert as a program reads it: a webhook's body, and what a command has on its stdin. */
import type { Message } from "../channel.ts";
import { wellFormedJson } from "./plain-text.ts";

/** The alert as JSON. What does not apply is null. `test`: it tries the channel alone. */
export function webhookBody({ alert, title, text, url, test = false }: Message): string {
  const { kind, pipeline, run, status, because, at, key, of, channel } = alert;
  const { cause, count, telling, others = [] } = alert;
  const body = {
    kind,
    pipeline: pipeline ?? null,
    run: run ?? null,
    status: status ?? null,
    because,
    at,
    key,
    url: url ?? null,
    of: of ?? null,
    channel,
    cause: cause ?? null,
    count,
    telling,
    others,
    title,
    text,
    test,
  };
  return wellFormedJson(body);
}
