/**
 * The places on other machines, as `places:` of orchd.yaml names them: with every default filled
 * in. This machine and its containers are always there, and are not named.
 */
import { defined } from "./defined.ts";
import type { Json } from "./snapshot.ts";

/** A secret, by its name. */
export interface SecretName {
  readonly secret: string;
}

/** A machine that is reached by the OpenSSH client. */
export interface SshPlaceSettings {
  readonly engine: "ssh";
  readonly host: string;
  readonly user?: string | undefined;
  readonly port?: number | undefined;
  /** The file with the private key, as an absolute path. Undefined: what the client finds. */
  readonly identity?: string | undefined;
  /** The file with the keys of hosts that are trusted. Undefined: the client's own. */
  readonly knownHosts?: string | undefined;
  /** The folder over there. Undefined: `.orchd` in the user's home. */
  readonly folder?: string | undefined;
  /** The Node over there. Undefined: `node`. */
  readonly node?: string | undefined;
  /** How many modules, and how many shell texts, run there at once. */
  readonly threads: number;
  readonly memoryMb?: number | undefined;
  /** Without its own name, which is a label too. */
  readonly labels: readonly string[];
}

/** Machines whose workers take tasks from a broker. Workers say their own labels. */
export interface BrokerPlaceSettings {
  readonly engine: "nats" | "redis";
  /** Where the broker is, in the order in which they are tried. */
  readonly urls: readonly string[];
  /** What the broker wants to see: a NATS credentials file, or USER:PASSWORD. */
  readonly credentials?: SecretName | undefined;
  /** The key that tasks are sealed with, the same at daemon and workers. */
  readonly key: SecretName;
  /** Files for TLS, as absolute paths. */
  readonly tls?:
    | {
        readonly ca?: string | undefined;
        readonly cert?: string | undefined;
        readonly key?: string | undefined;
      }
    | undefined;
  /** Labels of each worker, besides its own. */
  readonly labels: readonly string[];
}

/** A place on other machines. */
export type PlaceSettings = SshPlaceSettings | BrokerPlaceSettings;

/**
 * What the machines of a place are found by. Two places with the same reach the same machines, and
 * find there what the other one has started.
 */
export function machinesOf(settings: PlaceSettings): Readonly<Record<string, Json>> {
  if (settings.engine === "ssh") {
    const { engine, host, user, port, folder } = settings;
    return defined({ engine, host, user, port, folder });
  }
  const { engine, urls, key } = settings;
  return { engine, urls: [...urls], key: key.secret };
}
