/**
 * `places` of orchd.yaml: other machines that steps run on, as a person names them, and with every
 * default filled in.
 */
import * as z from "zod";
import { defined } from "./defined.ts";
import type { PlaceSettings } from "./place-settings.ts";
import { MOST_MEMORY_MB, nameSchema, secretSchema } from "./schema-parts.ts";

/** What a label of a place looks like. A lane's name holds labels, with a `+` between them. */
export const LABEL_PATTERN = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
/** The label of this machine. */
export const LOCAL_LABEL = "local";

/** How many steps of each kind a machine runs at once if orchd.yaml does not say. */
const THREADS = 4;
/** What runs steps without being named. */
const TAKEN: ReadonlySet<string> = new Set([LOCAL_LABEL, "podman", "docker"]);

/** A label of a place. */
export const labelSchema = z
  .string()
  .regex(
    LABEL_PATTERN,
    "must be a label: 1 to 64 letters, digits, ., - and _, beginning with a letter or a digit",
  )
  .refine((label) => label !== LOCAL_LABEL, "is the label of this machine; choose another one");

const labels = z
  .array(labelSchema)
  .max(32)
  .optional()
  .describe("words by which steps choose it (`on`), beside its own name; default: none");

const path = z
  .string()
  .regex(
    /^[^\0~][^\0]*$/,
    "must be a path, from the root or beginning with a /: ~ is not replaced",
  );

const sshSchema = z.strictObject({
  engine: z
    .literal("ssh")
    .describe("what reaches it: the OpenSSH client, or a broker that its workers take steps from"),
  host: z
    .string()
    .regex(/^[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}$/, "must be a host's name or address")
    .describe("the machine, as the OpenSSH client finds it"),
  user: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/, "must be a user's name")
    .optional()
    .describe("who logs in; default: as the client's own settings say"),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe("the port; default: as the client's own settings say"),
  identity: path
    .optional()
    .describe("the file with the private key, from the root; default: what the client finds"),
  knownHosts: path
    .optional()
    .describe(
      "the file with the keys of hosts that are trusted, from the root; default: the client's own",
    ),
  folder: z
    .string()
    .regex(/^\/[^\0\n]{1,200}$/, "must be an absolute path on that machine")
    .optional()
    .describe("the folder over there; default: .orchd in the user's home"),
  node: z
    .string()
    .regex(/^[A-Za-z0-9_/.][A-Za-z0-9_/.-]{0,200}$/, "must be a program's name or path")
    .optional()
    .describe("the Node over there; default: node"),
  threads: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe("how many modules, and how many shell texts, run there at once; default: 4"),
  memoryMb: z
    .int()
    .min(64)
    .max(MOST_MEMORY_MB)
    .optional()
    .describe(
      "the memory in MiB that the runner over there may use; default: three quarters of what " +
        "that machine has",
    ),
  labels,
});

/** What is wrong with where a broker is. */
function urlFault(text: string, schemes: readonly string[]): string | undefined {
  const must = `must be ${schemes.map((scheme) => `${scheme}//HOST:PORT`).join(" or ")}`;
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return must;
  }
  if (!schemes.includes(url.protocol) || url.hostname === "") return must;
  if (url.username !== "" || url.password !== "")
    return "holds a user or a password: name their secret under credentials";
  const isBare = (url.pathname === "" || url.pathname === "/") && url.search + url.hash === "";
  return isBare ? undefined : must;
}

function brokerSchema<const E extends "nats" | "redis">(engine: E, schemes: readonly string[]) {
  const one = z.string().superRefine((text, context) => {
    const message = urlFault(text, schemes);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
  return z.strictObject({
    engine: z.literal(engine).describe("workers take steps from this broker"),
    url: z
      .union([one, z.array(one).min(1)])
      .describe(`where the broker is: ${schemes.join("// or ")}//HOST:PORT, or a list`),
    credentials: secretSchema
      .optional()
      .describe("the secret that the broker wants to see; default: none"),
    key: secretSchema.describe(
      "the secret that steps are sealed with: the same at the daemon and at its workers",
    ),
    tls: z
      .strictObject({
        ca: path.optional().describe("the certificates that are trusted; default: the system's"),
        cert: path.optional().describe("the daemon's own certificate; default: none"),
        key: path.optional().describe("the key of that certificate; default: none"),
      })
      .optional()
      .describe("files for TLS, from the root; default: none"),
    labels,
  });
}

const placeSchema = z.discriminatedUnion("engine", [
  sshSchema,
  brokerSchema("nats", ["nats:", "tls:"]),
  brokerSchema("redis", ["redis:", "rediss:"]),
]);

/** `places` of orchd.yaml as written. */
export const placesSchema = z.record(
  nameSchema.refine(
    (name) => !TAKEN.has(name),
    "is what this machine runs steps with; choose another name",
  ),
  placeSchema,
);

/** `places` of orchd.yaml as written, with a checked shape. */
export type PlacesDefinition = z.infer<typeof placesSchema>;

/**
 * Fills in the defaults of `places`.
 *
 * @param resolvePath makes a path absolute: it counts from the root
 */
export function resolvePlaces(
  written: PlacesDefinition | undefined,
  resolvePath: (path: string) => string,
): { [name: string]: PlaceSettings } {
  return Object.fromEntries(
    Object.entries(written ?? {}).map(([name, place]) => [name, resolvePlace(place, resolvePath)]),
  );
}

function resolvePlace(
  written: PlacesDefinition[string],
  resolvePath: (path: string) => string,
): PlaceSettings {
  const file = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolvePath(path);
  const own = [...new Set(written.labels)];
  if (written.engine === "ssh") {
    const { identity, knownHosts, threads = THREADS } = written;
    return defined({
      ...written,
      identity: file(identity),
      knownHosts: file(knownHosts),
      threads,
      labels: own,
    });
  }
  const { engine, url, credentials, key, tls } = written;
  return defined({
    engine,
    urls: [url].flat(),
    credentials,
    key,
    tls: tls && defined({ ca: file(tls.ca), cert: file(tls.cert), key: file(tls.key) }),
    labels: own,
  });
}
