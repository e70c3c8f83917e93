/**
 * Where `{secret: NAME}` gets its value: from a file of that name in `$CREDENTIALS_DIRECTORY`
 * (systemd's LoadCredential). A value is read when a step starts, and only that step gets it; a
 * channel's is read when it sends. Ledgers and logs have the name.
 */
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** As the schemas have it: the name must not lead out of the folder. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/** A secret whose bytes are no text. The message is a sentence. */
class NoText extends Error {}

function textOf(bytes: Buffer, name: string): string {
  if (!isUtf8(bytes))
    throw new NoText(`The secret ${name} is not UTF-8, so it cannot be given as text. Encode it.`);
  return bytes.toString();
}

/**
 * Reads secrets from files: the first folder that has the file counts. A line feed at the end is
 * not part of the value.
 */
export class SecretFiles {
  readonly #folders: readonly string[];

  constructor(folders: readonly (string | undefined)[]) {
    this.#folders = folders.filter((folder) => folder !== undefined && folder !== "") as string[];
  }

  /** @throws Error, a sentence, if there is none */
  get(name: string): string {
    if (!NAME.test(name))
      throw new Error(
        `${JSON.stringify(name)} is no name of a secret: ` +
          "letters, digits, dots, dashes and underscores.",
      );
    for (const folder of this.#folders) {
      try {
        return textOf(readFileSync(join(folder, name)), name).replace(/\r?\n$/, "");
      } catch (error) {
        if (error instanceof NoText) throw error;
        if ((error as NodeJS.ErrnoException).code !== "ENOENT")
          throw new Error(`The secret ${name} cannot be read: ${(error as Error).message}.`, {
            cause: error,
          });
      }
    }
    throw new Error(
      this.#folders.length === 0
        ? `The secret ${name} is not there: secrets are the files of the folder that ` +
            "$CREDENTIALS_DIRECTORY names, and that is not set. " +
            `Write LoadCredential=${name}:FILE into the unit; without systemd put the value into ` +
            `a file ${name} of a folder of your own, and start orchd with the variable set to it.`
        : `The secret ${name} is not there: there is no such file in ` +
            `${this.#folders.join(" or ")}. ` +
            `Add LoadCredential=${name}:FILE to the unit, or put the file there.`,
    );
  }
}
