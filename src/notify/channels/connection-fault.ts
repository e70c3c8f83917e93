/** Why a receiver was not reached, in words. Node gives codes, and texts for programmers. */
import { errorOf } from "../../core/thrown.ts";

/** Why a certificate is not trusted, by OpenSSL's code. */
const UNTRUSTED = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_UNTRUSTED",
]);

const CLAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refuses connections",
  ECONNRESET: "closed the connection before it answered",
  EPIPE: "closed the connection before it answered",
  ENOTFOUND: "is a name that does not exist",
  EAI_AGAIN: "is a name that cannot be looked up now: no name server answers",
  EHOSTUNREACH: "cannot be reached from this machine",
  ENETUNREACH: "cannot be reached from this machine",
  ETIMEDOUT: "does not answer",
  ERR_TLS_CERT_ALTNAME_INVALID: "has a certificate for another name",
  CERT_HAS_EXPIRED: "has a certificate that has expired",
  CERT_NOT_YET_VALID: "has a certificate that is not valid yet: check this machine's clock",
  EPROTO: "does not speak TLS there: check the port, or write http:",
  ERR_SSL_WRONG_VERSION_NUMBER: "does not speak TLS there: check the port, or write http:",
  HPE_HEADER_OVERFLOW: "answers with more header lines than are read",
};

/**
 * The clause that tells why, with the host in front: `HOST refuses connections`.
 *
 * @param host who was to be reached
 */
export function connectionFault(error: unknown, host: string): string {
  const first = firstOf(error);
  const { code = "" } = first as NodeJS.ErrnoException;
  if (UNTRUSTED.has(code))
    return (
      `${host} has a certificate that no trusted authority signed: ` +
      "name the authority's file with `ca`"
    );
  const clause = CLAUSES[code];
  if (clause !== undefined) return `${host} ${clause}`;
  if (code.startsWith("HPE_")) return `${host} answers with something that is not HTTP`;
  if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_"))
    return `${host} and this machine do not agree on TLS (${code})`;
  return `${host} cannot be reached (${code === "" ? first.message : code})`;
}

/** One error for all addresses of a name (`AggregateError`): the first tells enough. */
function firstOf(error: unknown): Error {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors[0] as Error;
  return errorOf(error);
}
