/** What a channel needs of the machine and of the root that it speaks for. */
import type { TextOrSecret } from "../secrets.ts";
import type { HttpHost } from "./http.ts";

/** The world of a channel. */
export interface ChannelHost extends HttpHost {
  /** The root's folder: files of the settings are found from there, and commands run in it. */
  readonly root: string;
  /** The machine's name, for the receivers that want to know where a message comes from. */
  readonly machine: string;
  /** `env` of orchd.yaml, which commands get as steps do. */
  readonly variables?: Readonly<Record<string, TextOrSecret>>;
}
