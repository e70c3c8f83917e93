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
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: check this machine's clock",
  EPROTO: "it speaks no TLS at that port",
  ERR_SSL_WRONG_VERSION_NUMBER: "it speaks no TLS at that port",
  ...Object.fromEntries(
    [
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_GET_ISSUER_CERT",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    ].map((code) => [code, "name the file of the authority that signed its certificate by tls.ca"]),
  ),
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
