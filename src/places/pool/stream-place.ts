/** Where stream runners (stream-runner.ts) are started, and how: what a place says of itself. */
import type { Clock } from "../../clock.ts";
import type { FarClaims } from "./far-claims.ts";
import type { Hello } from "./wire.ts";

/** What is started. */
export interface StreamCommand {
  /** The program and its arguments. Anybody can read them. */
  readonly words: readonly [program: string, ...words: string[]];
  /** Its whole environment. Default: this process's own. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** The folder that it is started in. Default: `/`. */
  readonly cwd?: string | undefined;
}

/** A socket of this machine, by its path here and as the runner finds it. */
export interface WireSocket {
  readonly here: string;
  readonly there: string;
}

/** How a command ended. */
export interface CommandEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last it said on stderr, and before the hello. */
  readonly said: string;
}

/** A runner of which nothing runs any more. */
export interface EndedRunner {
  /** Undefined: nobody knows which steps had begun. */
  readonly claims?: FarClaims | undefined;
}

/** Where runners are started, and how. */
export interface StreamPlace {
  readonly clock: Clock;
  /** For people, after "the runner": `on gpu1`. */
  readonly where: string;
  /**
   * The command runs on this machine, so no link can be lost: where it ends and nobody says why,
   * the runner has died, and its tasks may be to blame. Default: false.
   */
  readonly isLocal?: boolean | undefined;
  /** The folder over there that keeps bundles and artifacts. Undefined: one that goes with it. */
  readonly folder?: string | undefined;
  /** The folder in which steps run. Undefined: the one that files are kept in. */
  readonly workdir?: string | undefined;
  /** What starts a runner. @param token of this runner: all that it starts over there carries it */
  command(token: string, number: number): StreamCommand;
  /**
   * The file over there in which a runner that steps share may leave its claims (far-claims.ts), as
   * an absolute path. Undefined: nobody reads it.
   */
  claims?(number: number): string;
  /**
   * Where the runner may connect, in a folder that nobody else comes to: the wire is then this
   * socket, and not stdin and stdout, which are copied on their way (runner-wire.ts). Undefined:
   * nowhere.
   */
  socket?(number: number): WireSocket | undefined;
  /**
   * Makes sure, by another way, that nothing of a runner is left: its command ended, or hears
   * nothing, and nobody knows what became of the rest. Called once, if at all.
   *
   * @returns what it left. Undefined, as a rejection: it cannot know. Then the end of the lease is
   *   waited for
   */
  end?(token: string, number: number): Promise<EndedRunner | undefined>;
  /** It said who it is. */
  heard?(hello: Hello): void;
  /** A sentence about how a command ended, for people. Undefined: its status, and what it said. */
  explain?(end: CommandEnd): string | undefined;
}
