/** Images: pulled, with the credentials of their registry, and what their names mean. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { ImageContainer } from "../../core/container.ts";
import { pullWords } from "./container-command.ts";
import type { ContainerFiles } from "./container-files.ts";
import { EngineError, sentenceOf, type Engine, type EngineProcess } from "./engine.ts";

/** A pull that goes on. */
export interface Pull {
  /** @throws EngineError, a sentence, if the image cannot be pulled */
  readonly done: Promise<void>;
  /** Ends it. */
  cancel(): void;
}

/**
 * Pulls an image.
 *
 * @param files where the credentials are written, for the daemon's user alone
 * @param auth `USER:PASSWORD`, or the JSON of an auth file
 * @param tell gets the lines of its progress
 */
export function pull(
  engine: Engine,
  container: ImageContainer,
  files: ContainerFiles,
  auth: string | undefined,
  tell: (lines: readonly string[]) => void,
): Pull {
  let child: EngineProcess | undefined;
  const work = async (): Promise<void> => {
    const own = auth === undefined ? [] : authWords(engine, container.image, auth, files);
    const [command, ...rest] = pullWords(container);
    // Docker's word for its configuration comes before the command.
    const words =
      engine.name === "docker" ? [...own, command!, ...rest] : [command!, ...own, ...rest];
    child = engine.start(words);
    const answer = await finished(child, tell);
    if (answer.status !== 0)
      throw new EngineError(`the image ${container.image} cannot be pulled: ${sentenceOf(answer)}`);
  };
  return { done: work(), cancel: () => void child?.kill("SIGTERM") };
}

/** The id of an image that is there. Undefined: it is not. @throws EngineError */
export async function imageIdOf(engine: Engine, image: string): Promise<string | undefined> {
  const answer = await engine.ask(["image", "inspect", "--format", "{{.Id}}", image]);
  const id = answer.stdout.trim().replace(/^sha256:/, "");
  if (answer.status === 0 && /^[0-9a-f]{64}$/.test(id)) return id;
  if (answer.status === null)
    throw new EngineError(`${engine.name} does not answer: ${sentenceOf(answer)}`);
  return undefined;
}

/** What {@link presentImage} needs besides the image. */
export interface ImageRequest {
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
  { files, auth, tell, pulling }: ImageRequest,
): Promise<string> {
  const { image, pull: policy } = container;
  const known = policy === "always" ? undefined : await imageIdOf(engine, image);
  if (known !== undefined) return known;
  if (policy === "never")
    throw new EngineError(`the image ${image} is not there, and container.pull is never`);
  tell([`[orchd: ${engine.name} pulls the image ${image}]`]);
  const work = pull(engine, container, files(), auth, (lines) =>
    tell(lines.map((line) => `[${engine.name}: ${line.slice(0, 500)}]`)),
  );
  pulling?.(work);
  await work.done;
  const id = await imageIdOf(engine, image);
  if (id === undefined) throw new EngineError(`the image ${image} was pulled, and is not there`);
  return id;
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

let count = 0;

function authWords(
  { name }: Engine,
  image: string,
  auth: string,
  files: ContainerFiles,
): readonly string[] {
  count += 1;
  const text = auth.trimStart().startsWith("{") ? auth : authText(image, auth);
  if (name === "podman") return [`--authfile=${files.writePrivate(`auth-${count}.json`, text)}`];
  mkdirSync(join(files.folder, `docker-${count}`), { mode: 0o700 });
  files.writePrivate(join(`docker-${count}`, "config.json"), text);
  return [`--config=${join(files.folder, `docker-${count}`)}`];
}

/** The text of an auth file for the registry of an image. @param auth `USER:PASSWORD` */
export function authText(image: string, auth: string): string {
  const [first = ""] = image.split("/");
  const isHost = image.includes("/") && (/[.:]/.test(first) || first === "localhost");
  // Each engine has a name of its own for the registry that has none.
  const hosts = isHost ? [first] : ["docker.io", "https://index.docker.io/v1/"];
  const entry = { auth: Buffer.from(auth).toString("base64") };
  return JSON.stringify({ auths: Object.fromEntries(hosts.map((host) => [host, entry])) });
}

function finished(
  child: EngineProcess,
  tell: (lines: readonly string[]) => void,
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    let [rest, stderr] = ["", ""];
    child.stdout.resume();
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4_096);
      const lines = (rest + text).split(/[\r\n]+/);
      rest = lines.pop()!.slice(-4_096);
      tell(lines.filter((line) => line.trim() !== ""));
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout: "", stderr }));
  });
}
