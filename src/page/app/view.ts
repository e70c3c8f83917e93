/**
 * A view of the API that stays fresh: fetched at once, and again when a line comes that it may be
 * about. It is fetched at most twice a second, and never while the last answer is under way; a view
 * that takes long is fetched less often. What is shown stays until the next answer is there.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { defined } from "../../core/defined.ts";
import { get, type Problem } from "./api.ts";
import { listen, type Scope } from "./live.ts";

/** The view as it stands. */
export interface View<T> {
  /** Undefined until the first answer. */
  readonly value: T | undefined;
  /** Why the last question was not answered; the value before it stays. */
  readonly problem: Problem | undefined;
  /** Whether the value is of an earlier route, and the next is under way. */
  readonly stale: boolean;
  /** Asks again now. */
  readonly refresh: () => void;
}

interface Held<T> {
  readonly route: string | null;
  readonly value: T | undefined;
  readonly problem: Problem | undefined;
}

const LEAST_MS = 500;
/** A view is asked for at most a fifth of the time. */
const SHARE = 5;
/** What no line tells: a daemon that died, a slot that is overdue. */
const AT_LEAST_EVERY_MS = 15_000;
/** How long the stream has to call first, once a tab is seen again. */
const SEEN_MS = 1_000;
/** When a question that nobody answered is asked again; twice as late each time. */
const FIRST_AGAIN_MS = 1_000;

/**
 * @param route below /api/v1/; null: ask nothing
 * @param scope which lines make it ask again
 */
export function useView<T>(route: string | null, scope: Scope = {}): View<T> {
  const [held, setHeld] = useState<Held<T>>({ route, value: undefined, problem: undefined });
  const ask = useRef<() => void>(() => {});
  const { pipeline, run, none, alerts } = scope;
  useEffect(() => {
    if (route === null) return;
    const poll = new Poll<T>(route, setHeld);
    ask.current = () => poll.want(0);
    const stop = listen(defined({ pipeline, run, none, alerts }), () => poll.want());
    poll.want(0);
    return () => {
      stop();
      poll.end();
    };
  }, [route, pipeline, run, none, alerts]);
  const isOther = pathOf(held.route) !== pathOf(route);
  return {
    value: isOther ? undefined : held.value,
    problem: held.route === route ? held.problem : undefined,
    stale: held.route !== route,
    refresh: () => ask.current(),
  };
}

function pathOf(route: string | null): string | undefined {
  return route?.split("?")[0];
}

/** Asks one route, again and again, but not too often. */
class Poll<T> {
  readonly #route: string;
  readonly #tell: (held: (before: Held<T>) => Held<T>) => void;
  readonly #own = new AbortController();
  #timer: number | undefined;
  #isAsking = false;
  #isWanted = false;
  /** How long it waits after a question that nobody answered, in milliseconds. */
  #again = FIRST_AGAIN_MS;
  /** Not before this moment, by performance.now(). */
  #notBefore = 0;
  /** The stream calls as it opens, if there is one: it may be refused, or not be needed. */
  readonly #onSeen = (): void => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", this.#onSeen);
    this.want(SEEN_MS);
  };

  constructor(route: string, tell: (held: (before: Held<T>) => Held<T>) => void) {
    this.#route = route;
    this.#tell = tell;
  }

  /** Asks as soon as it may be. @param after at the earliest, in milliseconds */
  want(after = Math.max(0, this.#notBefore - performance.now())): void {
    if (this.#own.signal.aborted) return;
    this.#isWanted = true;
    if (this.#isAsking) return;
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#ask(), after);
  }

  end(): void {
    window.clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#onSeen);
    this.#own.abort();
  }

  async #ask(): Promise<void> {
    // A hidden tab asks nothing.
    if (document.hidden) return document.addEventListener("visibilitychange", this.#onSeen);
    [this.#isAsking, this.#isWanted] = [true, false];
    const began = performance.now();
    let latest = AT_LEAST_EVERY_MS;
    try {
      const answer = await get<T>(this.#route, this.#own.signal);
      if (answer.ok || answer.problem.status !== 0) this.#again = FIRST_AGAIN_MS;
      // The network changed, or the server starts again: that is soon over.
      else latest = this.#later();
      const route = this.#route;
      this.#tell((before) =>
        answer.ok
          ? { route, value: answer.value, problem: undefined }
          : {
              route,
              value: pathOf(before.route) === pathOf(route) ? before.value : undefined,
              problem: answer.problem,
            },
      );
    } catch {
      // It was given up.
    }
    this.#isAsking = false;
    const now = performance.now();
    this.#notBefore = now + Math.max(LEAST_MS, (now - began) * SHARE);
    if (this.#own.signal.aborted) return;
    window.clearTimeout(this.#timer);
    const after = this.#isWanted ? this.#notBefore - now : latest;
    this.#timer = window.setTimeout(() => void this.#ask(), after);
  }

  #later(): number {
    const wait = this.#again;
    this.#again = Math.min(AT_LEAST_EVERY_MS, wait * 2);
    return wait;
  }
}
