/** What a person can do where an image cannot be pulled. Pure. */
import type { ImageContainer } from "../../core/container.ts";

/** The registry of an image that names none. */
export const HUB = "docker.io";

/** The registry of an image. */
export function registryOf(image: string): string {
  const [first = ""] = image.split("/");
  const isHost = image.includes("/") && (/[.:]/.test(first) || first === "localhost");
  return isHost ? first : HUB;
}

/**
 * What a person can do.
 *
 * @param said the engine's last words
 * @param hasAuth the step has credentials for the registry
 * @returns undefined where the engine's words say enough, or nothing is known
 */
export function pullHint(
  said: string,
  { image, auth }: Pick<ImageContainer, "image" | "auth">,
  hasAuth: boolean,
): string | undefined {
  const registry = registryOf(image);
  const is = (pattern: RegExp): boolean => pattern.test(said);
  if (is(/manifest unknown|name unknown|\bnot found\b|tag .* does not exist/i))
    return `${registry} has no such image: check its name and tag`;
  if (
    is(/unauthorized|authentication required|no basic auth|denied|incorrect username|\b40[13]\b/i)
  )
    return hasAuth
      ? `${registry} refuses the credentials of the secret "${auth?.secret}" (container.auth)`
      : `${registry} wants a login, or has no such image: give it one by container.auth`;
  if (is(/no space left/i)) return "the disk of the engine's storage is full";
  if (is(/HTTP response to HTTPS client/i))
    return `${registry} speaks no TLS: allow that in the engine's own settings (insecure)`;
  if (is(/x509|certificate/i))
    return `the certificate of ${registry} is not trusted: add its authority to the engine's own`;
  if (is(/no matching manifest|no image found in .* for arch|choose an image/i))
    return "it is not there for this kind of machine: see container.platform";
  if (is(SILENT)) return `is ${registry} up, and is its name right?`;
  if (is(/toomanyrequests|rate limit|\b429\b/i))
    return `${registry} allows no more pulls for now: wait, or give it a login by container.auth`;
  return undefined;
}

const SILENT = new RegExp(
  "connection refused|no such host|timeout|timed out|deadline exceeded|no route|unreachable|" +
    "connection reset|\\bEOF\\b|server misbehaving",
  "i",
);
