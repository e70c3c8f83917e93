/**
 * The container of a step, as a run uses it: made of an image for one attempt, or one that runs
 * already, in which the step's command runs too.
 *
 * Its `env` is a layer of the step's environment, so it is not here. Neither is the memory that it
 * may use: each step can have that limit.
 */

/** Where the files of a step are inside its container. */
export const CONTAINER_FILES = "/orchd";

/** A container of an image, for one attempt. */
export interface ImageContainer {
  readonly image: string;
  readonly exec?: undefined;
  readonly pull: "missing" | "always" | "never";
  /** HOST:CONTAINER[:OPTIONS]; paths are absolute. */
  readonly volumes: readonly string[];
  readonly network?: string | undefined;
  readonly user?: string | undefined;
  /** The secret for the image's registry, by its name. */
  readonly auth?: { readonly secret: string } | undefined;
  readonly keep: "never" | "on-failure";
  readonly entrypoint?: readonly string[] | undefined;
  readonly workdir?: string | undefined;
  readonly platform?: string | undefined;
  readonly options: readonly string[];
  readonly cpus?: number | undefined;
  readonly gpus?: number | undefined;
}

/** A container that runs already: it is nobody's to end. */
export interface RunningContainer {
  readonly exec: string;
  readonly image?: undefined;
  readonly user?: string | undefined;
  readonly workdir?: string | undefined;
}

/** The container of a step. */
export type ContainerSpec = ImageContainer | RunningContainer;

/**
 * What decides a result, for a step's cache key: not when an image is pulled, with which rights,
 * and what becomes of the container.
 *
 * @param image what the image's name means now: its id. Undefined: nobody asked
 */
export function containerKey(
  spec: ContainerSpec,
  image: string | undefined,
): { readonly [key: string]: string | readonly string[] | null } {
  const id = image ?? null;
  if (spec.exec !== undefined)
    return { exec: spec.exec, image: id, user: spec.user ?? null, workdir: spec.workdir ?? null };
  const { volumes, network, user, entrypoint, workdir, platform, options } = spec;
  return {
    image: id,
    volumes,
    network: network ?? null,
    user: user ?? null,
    entrypoint: entrypoint ?? null,
    workdir: workdir ?? null,
    platform: platform ?? null,
    options,
  };
}
