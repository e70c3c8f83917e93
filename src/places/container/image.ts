/** Images: what their names mean, and whether they are for the machine that is wanted. */
import type { Clock } from "../../clock.ts";
import type { ImageContainer } from "../../core/container.ts";
import type { ImageHearing } from "../place.ts";
import type { ContainerFiles } from "./container-files.ts";
import { EngineError, sentenceOf, type Engine } from "./engine.ts";
import { pull, type Pull } from "./image-pull.ts";
import { missingImage } from "./start-fault.ts";

/** An image that is there. */
interface PresentImage {
  readonly id: string;
  /** `linux/amd64`. */
  readonly platform: string;
}

/** An image that is there, of whatever platform. Undefined: it is not. @throws EngineError */
async function foundImage(engine: Engine, image: string): Promise<PresentImage | undefined> {
  const format = "{{.Id}} {{.Os}}/{{.Architecture}}";
  const answer = await engine.ask(["image", "inspect", "--format", format, image]);
  const [id = "", platform = ""] = answer.stdout
    .trim()
    .replace(/^sha256:/, "")
    .split(" ");
  if (answer.status === 0 && /^[0-9a-f]{64}$/.test(id)) return { id, platform };
  if (answer.status === null || /cannot connect to|connect: |dial unix/i.test(answer.stderr))
    throw new EngineError(`${engine.name} does not answer: ${sentenceOf(answer)}`);
  return undefined;
}

/**
 * The id of an image that is there, for the platform that its container wants. Undefined: it is
 * not.
 *
 * @throws EngineError
 */
export async function imageIdOf(
  engine: Engine,
  { image, platform }: Pick<ImageContainer, "image" | "platform">,
): Promise<string | undefined> {
  const found = await foundImage(engine, image);
  return found !== undefined && isFor(found.platform, platform) ? found.id : undefined;
}

/** Why an image that is there does not do: it is of another platform. @throws EngineError */
export async function otherPlatform(
  engine: Engine,
  { image, platform }: Pick<ImageContainer, "image" | "platform">,
): Promise<string | undefined> {
  if (platform === undefined) return undefined;
  const found = await foundImage(engine, image);
  if (found === undefined || isFor(found.platform, platform)) return undefined;
  return `the image ${image} is for ${found.platform} alone, and container.platform is ${platform}`;
}

const SAME = new Map([
  ["x86_64", "amd64"],
  ["aarch64", "arm64"],
]);

/** Whether a platform is the wanted one, as far as both say. */
function isFor(platform: string, wanted: string | undefined): boolean {
  const [os, arch] = wanted?.toLowerCase().split("/") ?? [];
  if (arch === undefined) return true;
  return platform === `${os}/${SAME.get(arch) ?? arch}`;
}

/** What {@link presentImage} needs besides the image. */
export interface ImageRequest {
  readonly clock: Clock;
  /** A folder for the credentials. */
  readonly files: () => ContainerFiles;
  readonly auth: string | undefined;
  /** Gets the lines of a pull's progress. */
  tell(lines: readonly string[]): void;
  /** Gets a pull that begins. */
  pulling?(pull: Pull): void;
}

/**
 * The id of an image, which is pulled if need be: what its name means now.
 *
 * @throws EngineError, a sentence, if it is not there and cannot be pulled
 */
export async function presentImage(
  engine: Engine,
  container: ImageContainer,
  { clock, files, auth, tell, pulling }: ImageRequest,
): Promise<string> {
  const { image, pull: policy } = container;
  const known = policy === "always" ? undefined : await imageIdOf(engine, container);
  if (known !== undefined) return known;
  if (policy === "never")
    throw new EngineError(
      (await otherPlatform(engine, container)) ?? missingImage(image, engine.name),
    );
  const work = pull(engine, container, { clock, files: files(), auth, tell });
  pulling?.(work);
  await work.done;
  const id = await imageIdOf(engine, container);
  if (id !== undefined) return id;
  throw new EngineError(
    (await otherPlatform(engine, container)) ?? `the image ${image} was pulled, and is not there`,
  );
}

/** What hears of the pull of an image that is asked for before a step may start. */
export function heardBy({ tell, signal }: Partial<ImageHearing> = {}): Pick<
  ImageRequest,
  "tell" | "pulling"
> {
  return {
    tell: (lines) => tell?.(lines),
    pulling(work) {
      if (signal?.aborted === true) work.cancel();
      signal?.addEventListener("abort", () => work.cancel(), { once: true });
    },
  };
}

/** How long an answer about an image counts, in milliseconds. */
const KNOWN_MS = 5_000;

/** The ids of images, for steps that follow each other fast: asking costs more than they do. */
export class KnownImages {
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly id: string; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** {@link presentImage}. An image that was there a moment ago is not asked for again. */
  async idOf(engine: Engine, container: ImageContainer, request: ImageRequest): Promise<string> {
    const key = JSON.stringify([engine.name, container.image, container.platform]);
    const known = this.#known.get(key);
    const now = this.#clock.monotonic();
    if (container.pull !== "always" && known !== undefined && now - known.at < KNOWN_MS)
      return known.id;
    const id = await presentImage(engine, container, request);
    if (this.#known.size > 1_000) this.#known.clear();
    this.#known.set(key, { id, at: this.#clock.monotonic() });
    return id;
  }
}
