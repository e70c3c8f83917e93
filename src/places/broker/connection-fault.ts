/** Why an engine does not answer, in the words of a person: each thing once. */

/** What Node's codes mean. The code stays, for who looks it up. */
const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "it broke the connection off",
  EHOSTUNREACH: "there is no way to its host",
  ENETUNREACH: "there is no way to its network",
  ENOTFOUND: "its host's name is not known",
  EAI_AGAIN: "its host's name cannot be looked up now",
  ETIMEDOUT: "its host is silent",
  EPIPE: "it broke the connection off",
};
/** What the package of NATS says of everything that goes wrong as it connects. */
const SAYS_NOTHING = "connection refused";

/** What an error and its causes say. */
export function faultText(error: unknown): string {
  const texts: string[] = [];
  for (let at = error; at instanceof Error && texts.length < 4; at = at.cause) {
    const text = textOf(at);
    const isEmpty = text === SAYS_NOTHING && at.cause instanceof Error;
    if (!isEmpty && !texts.some((said) => said.includes(text.replace(/\.$/, "")))) texts.push(text);
  }
  return texts.length === 0 ? String(error) : texts.join(": ");
}

function textOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const words = code === undefined ? undefined : WORDS[code];
  return words === undefined ? error.message || (code ?? error.name) : `${words} (${code})`;
}
