import { withoutControls } from "../../core/failure.ts";
import { VERSION } from "../../version.ts";
import type { ChannelSecrets, TextOrSecret } from "../secrets.ts";
import { addressOf } from "./address.ts";
import { callHttp, statusText, type HttpHost } from "./http.ts";
import { oneLine } from "./plain-text.ts";
import { hostOf } from "./proxy.ts";

/** The most of an answer that is told, in characters. */
const SAID = 300;

/** Asks the heartbeat's address once, by GET. Never throws; `because` holds no secret. */
export async function askHttp(
  address: TextOrSecret,
  secrets: ChannelSecrets,
  host: HttpHost,
  signal: AbortSignal,
): Promise<{ readonly ok: true } | { readonly ok: false; readonly because: string }> {
  const speakable = (text: string): string => oneLine(secrets.mask(withoutControls(text)), SAID);
  try {
    const url = addressOf(address, secrets);
    const headers = { "User-Agent": `orchd/${VERSION}` };
    const outcome = await callHttp({ method: "GET", url, headers }, host, signal);
    if (!outcome.answered) return { ok: false, because: speakable(outcome.because) };
    const { status } = outcome;
    if (status >= 200 && status < 300) return { ok: true };
    return { ok: false, because: `${speakable(hostOf(url))} answered ${statusText(status)}` };
  } catch (error) {
    return { ok: false, because: speakable((error as Error).message) };
  }
}
