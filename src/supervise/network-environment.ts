/**
 * What of the daemon's environment a program gets that speaks to other machines: the folder of
 * secrets, proxies and trusted certificates.
 */

const NAMES: ReadonlySet<string> = new Set([
  "CREDENTIALS_DIRECTORY",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  ...["http_proxy", "https_proxy", "all_proxy", "no_proxy"].flatMap((name) => [
    name,
    name.toUpperCase(),
  ]),
]);

/** Those variables of an environment. @param family more names, by how they begin */
export function networkEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  family?: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        (NAMES.has(entry[0]) || (family !== undefined && entry[0].startsWith(family))),
    ),
  );
}
