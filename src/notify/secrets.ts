/**
 * The secrets of channels: their values by name, and the mask over every text that leaves:
 * messages, `notify.jsonl`, the log.
 *
 * A value is read each time that a channel sends, so a token that was changed counts at the next
 * try. Each value that was read is remembered, an old one too: an answer may still quote it. A
 * value is masked in the forms of core/secret-forms.ts; of an address also the parts that can hold
 * a token, since errors and answers mention a path without its host.
 */
import { decodedPart } from "../core/decoded-part.ts";
import { Masker } from "../core/mask.ts";
import type { SecretSource } from "../core/secret-source.ts";

/** A value as settings have it: the text itself, or the name of a secret. */
export type TextOrSecret = string | { readonly secret: string };

/** What is no token in an address: a short part, and a word as in `/services/`. */
const NO_TOKEN = /^(?:.{0,7}|[a-z_.-]{0,19})$/;
/** A shorter password is not masked by itself: too much else looks the same. */
const SHORTEST_PASSWORD = 4;
/** More values are remembered only while files change: then the oldest goes. */
const MOST_VALUES = 256;

/** Reads the secrets of channels, and masks them. One is shared by all channels. */
export class ChannelSecrets {
  readonly #source: SecretSource;
  readonly #values = new Set<string>();
  #masker = new Masker();

  constructor(source: SecretSource) {
    this.#source = source;
  }

  /**
   * The value of a setting, which is masked from now on if it is a secret.
   *
   * @throws Error, a sentence, if there is no secret of the name
   */
  read(setting: TextOrSecret): string {
    if (typeof setting === "string") return setting;
    const value = this.#source.get(setting.secret);
    this.hide(value);
    return value;
  }

  /** Masks a value from now on that was made from a secret. */
  hide(value: string): void {
    if (this.#values.has(value)) return;
    this.#values.add(value);
    if (this.#values.size > MOST_VALUES) this.#values.delete(this.#values.values().next().value!);
    this.#masker = new Masker([...this.#values].flatMap((one) => [one, ...partsOf(one)]));
  }

  /**
   * Reads every secret that the settings name, so that no channel sends the value of another one's.
   * One that is not there is left out: its channel says so when it sends. Call it before messages
   * are made.
   *
   * @param settings `notify:` of orchd.yaml
   */
  learn(settings: unknown): void {
    if (settings === null || typeof settings !== "object") return;
    const { secret } = settings as { readonly secret?: unknown };
    if (typeof secret !== "string") {
      for (const one of Object.values(settings)) this.learn(one);
      return;
    }
    try {
      this.read({ secret });
    } catch {
      // See above.
    }
  }

  /** The text without secrets. Call it before a text is cut: a cut could leave half of one. */
  mask(text: string): string {
    return this.#masker.text(text);
  }
}

/** The parts of an address that can hold a token; none of another value. */
function partsOf(value: string): string[] {
  if (!/^https?:\/\//i.test(value) || !URL.canParse(value)) return [];
  const { pathname, search, username, password } = new URL(value);
  const texts = [
    pathname + search,
    pathname,
    search.slice(1),
    ...pathname.split("/"),
    ...new URLSearchParams(search).values(),
    username,
  ].filter((text) => !NO_TOKEN.test(text));
  const passwords = [password, decodedPart(password)];
  return [...texts, ...passwords.filter(({ length }) => length >= SHORTEST_PASSWORD)];
}
