/**
 * `container` as a person writes it, in a pipeline and in a step. compile-container.ts turns it
 * into what a run uses.
 */
import * as z from "zod";
import { envSchema, secretSchema } from "./schema-parts.ts";

const IMAGE = /^[A-Za-z0-9][\w.\-/:@+]{0,511}$/;
/** The name of a container or of a volume. */
export const CONTAINER_NAME = /^[A-Za-z0-9][\w.-]{0,254}$/;
const WORD = /^[A-Za-z0-9][^\s\0]{0,254}$/;
const OPTION = /^--[a-z][a-z0-9-]*(=[^\0]*)?$/;

/** Flags that would take a container out of orchd's hands. */
const OWN_OPTIONS = new Set(
  (
    "annotation attach cidfile conmon-pidfile detach detach-keys entrypoint env env-file " +
    "env-host help init interactive label label-file log-driver log-opt name pidfile pod " +
    "pod-id-file pull replace restart rm rmi sig-proxy systemd tty"
  ).split(" "),
);

const image = z
  .string()
  .regex(IMAGE, "must be the name of an image, such as postgres:16 or ghcr.io/me/tool@sha256:…");
const absolute = z.string().regex(/^\/[^\0]*$/, "must be an absolute path in the container");

const blockSchema = z.strictObject({
  image: image.optional().describe("the image; this or `exec`; default: none"),
  exec: z
    .string()
    .regex(CONTAINER_NAME, "must be the name of a container that runs")
    .optional()
    .describe("a container that runs already, by its name; this or `image`; default: none"),
  pull: z
    .enum(["missing", "always", "never"])
    .optional()
    .describe("when the image is pulled; default: missing"),
  volumes: z
    .array(z.string())
    .optional()
    .describe(
      "what is mounted: HOST:CONTAINER or HOST:CONTAINER:ro; HOST is a path, from the pipeline " +
        "file's folder if it begins with a dot, or the name of a volume; default: none",
    ),
  network: z
    .string()
    .regex(WORD, "must be a network's name, none or host")
    .optional()
    .describe("the network: none, host or a name; default: the engine's"),
  user: z
    .union([z.int().min(0), z.string().regex(WORD, "must be USER or USER:GROUP")])
    .optional()
    .describe("who runs it in the container: a name or a number; default: the image's"),
  auth: secretSchema
    .optional()
    .describe(
      "the secret for the image's registry: USER:PASSWORD, or the JSON of an auth file; " +
        "default: what the engine knows",
    ),
  keep: z
    .enum(["never", "on-failure"])
    .optional()
    .describe("whether the container of a failed attempt stays, to look into; default: never"),
  entrypoint: z
    .union([z.string().min(1), z.array(z.string()).min(1)])
    .optional()
    .describe("the program that is given the shell and its text; default: none, the shell itself"),
  workdir: absolute.optional().describe("the folder in which it runs; default: the image's"),
  platform: z
    .string()
    .regex(/^[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9]+)?$/, "must be OS/ARCH, such as linux/arm64")
    .optional()
    .describe("the image's platform; default: this machine's"),
  env: envSchema
    .optional()
    .describe("environment variables, below the step's own `env`; default: none"),
  options: z
    .array(
      z
        .string()
        .regex(OPTION, "must be one flag of the engine's `run`: --NAME or --NAME=VALUE")
        .refine((option) => !OWN_OPTIONS.has(option.slice(2).split("=", 1)[0]!), {
          error: ({ input }) => `${String(input).slice(0, 60)} is set by orchd`,
        }),
    )
    .optional()
    .describe("more flags of the engine's `run`, as they are; default: none"),
});

/** `container` as written: an image, or a block. */
export const containerSchema = z
  .union([image, blockSchema])
  .describe("the container that a step runs in; default: none");

/** `container` of a step as written: `false` where the pipeline's is not for it. */
export const stepContainerSchema = z
  .union([
    z.boolean().refine((value) => !value, "must be an image, a block, or false for none"),
    image,
    blockSchema,
  ])
  .describe(
    "the container that a step runs in: an image, a block, or false for none; " +
      "default: the pipeline's",
  );

/** A container as written. */
export type ContainerDefinition = z.infer<typeof containerSchema>;
