/**
 * A pull of an image, with the credentials of its registry.
 *
 * - The credentials are in a file of the daemon's user alone as long as the pull goes on. They
 *   stand in no command line.
 * - What the engine says of its progress is told line by line, and its last words if it fails, with
 *   what a person can do.
 * - A registry that takes a connection and says nothing holds podman for ever. So what has not
 *   begun to copy after {@link SILENT_MS} is given up.
 */
import { mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { ImageContainer } from "../../core/container.ts";
import { pullBegins, pullEnded, pullSays } from "../../core/pull-text.ts";
import { pullWords } from "./container-command.ts";
import type { ContainerFiles } from "./container-files.ts";
import { EngineError, sentenceOf, type Engine, type EngineProcess } from "./engine.ts";
import { HUB, pullHint, registryOf } from "./pull-fault.ts";
import { beginning } from "../../core/whole-characters.ts";

/** How long a registry may take until the first layer is copied, in milliseconds. */
export const SILENT_MS = 60_000;
/** How much of a line is told, in characters. */
const LINE_CHARACTERS = 300;

/** A pull that goes on. */
export interface Pull {
  /** @throws EngineError, a sentence, if the image cannot be pulled */
  readonly done: Promise<void>;
  /** Ends it. */
  cancel(): void;
}

/** What a pull needs besides the image. */
export interface PullRequest {
  readonly clock: Clock;
  /** Where the credentials are written, for the daemon's user alone. */
  readonly files: ContainerFiles;
  /** `USER:PASSWORD`, or the JSON of an auth file. */
  readonly auth: string | undefined;
  /** Gets the lines of its progress. */
  tell(lines: readonly string[]): void;
}

/** Pulls an image. */
export function pull(engine: Engine, container: ImageContainer, request: PullRequest): Pull {
  let child: EngineProcess | undefined;
  let isCancelled = false;
  const work = async (): Promise<void> => {
    const { auth, files, tell } = request;
    const own = auth === undefined ? undefined : authFile(engine, container.image, auth, files);
    try {
      // Who waits for room for the credentials pulls nothing yet.
      tell([pullBegins(engine.name, container.image)]);
      const [command, ...rest] = pullWords(container);
      const words = own?.words ?? [];
      child = await engine.start(
        // Docker's word for its configuration comes before the command.
        engine.name === "docker" ? [...words, command!, ...rest] : [command!, ...words, ...rest],
        {
          isWanted: () => !isCancelled,
          waits: (because) => tell([`${because}: ${engine.name} waits`]),
        },
      );
      if (isCancelled) child.kill("SIGTERM");
      const fault = await ended(child, engine, container, request);
      if (fault !== undefined) throw new EngineError(fault);
      tell([pullEnded(container.image)]);
    } finally {
      own?.remove();
    }
  };
  return {
    done: work(),
    cancel() {
      isCancelled = true;
      child?.kill("SIGTERM");
    },
  };
}

/** Waits for the end of the engine's command. @returns a sentence if it failed */
async function ended(
  child: EngineProcess,
  engine: Engine,
  container: ImageContainer,
  { clock, auth, tell }: PullRequest,
): Promise<string | undefined> {
  const { image } = container;
  let isSilent = false;
  const patience = clock.after(SILENT_MS, () => {
    isSilent = true;
    child.kill("SIGKILL");
  });
  let said = "";
  const status = await new Promise<number | null>((resolve, reject) => {
    for (const output of [child.stdout, child.stderr]) {
      let rest = "";
      output.setEncoding("utf8").on("data", (text: string) => {
        if (output === child.stderr) said = (said + text).slice(-4_096);
        const lines = (rest + text).split(/[\r\n]+/);
        rest = lines.pop()!.slice(-4_096);
        const news = lines.filter(isProgress);
        if (news.some(hasBegun)) patience.cancel();
        if (news.length > 0)
          tell(news.map((line) => pullSays(engine.name, beginning(line.trim(), LINE_CHARACTERS))));
      });
    }
    child.on("error", reject);
    child.on("close", resolve);
  }).finally(() => patience.cancel());
  if (status === 0) return undefined;
  const registry = registryOf(image);
  if (isSilent)
    return (
      `the image ${image} cannot be pulled: its registry ${registry} did not answer within ` +
      `${SILENT_MS / 1_000} s: is it up, and is its name right?`
    );
  const sentence = sentenceOf({ status, stdout: "", stderr: said });
  const hint = pullHint(sentence, container, auth !== undefined);
  return `the image ${image} cannot be pulled: ${sentence}${hint === undefined ? "" : `: ${hint}`}`;
}

/** Podman ends with the image's id, and docker with its name. */
function isProgress(line: string): boolean {
  return line.trim().includes(" ");
}

/** Whether the registry has given what the image is made of. */
function hasBegun(line: string): boolean {
  return /^(Getting image|Copying|.*: Pulling from|Digest:|Status:)/.test(line);
}

let count = 0;

interface AuthFile {
  readonly words: readonly string[];
  remove(): void;
}

function authFile({ name }: Engine, image: string, auth: string, files: ContainerFiles): AuthFile {
  count += 1;
  const text = auth.trimStart().startsWith("{") ? auth : authText(image, auth);
  if (name === "podman") {
    const path = files.writePrivate(`auth-${count}.json`, text);
    return { words: [`--authfile=${path}`], remove: () => rmSync(path, { force: true }) };
  }
  const folder = join(files.folder, `docker-${count}`);
  mkdirSync(folder, { mode: 0o700 });
  const own = process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker");
  // The context says where dockerd is.
  symlinkSync(join(own, "contexts"), join(folder, "contexts"));
  const config = { ...contextIn(own), ...(JSON.parse(text) as object) };
  files.writePrivate(join(`docker-${count}`, "config.json"), JSON.stringify(config));
  return {
    words: [`--config=${folder}`],
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** What says where dockerd is in a person's configuration. */
function contextIn(folder: string): { currentContext?: string } {
  try {
    const text = readFileSync(join(folder, "config.json"), "utf8");
    const { currentContext } = JSON.parse(text) as { currentContext?: unknown };
    return typeof currentContext === "string" ? { currentContext } : {};
  } catch {
    return {};
  }
}

/** The text of an auth file for the registry of an image. @param auth `USER:PASSWORD` */
export function authText(image: string, auth: string): string {
  const registry = registryOf(image);
  // Each engine has a name of its own for the registry that has none.
  const hosts = registry === HUB ? [HUB, "https://index.docker.io/v1/"] : [registry];
  const entry = { auth: Buffer.from(auth).toString("base64") };
  return JSON.stringify({ auths: Object.fromEntries(hosts.map((host) => [host, entry])) });
}
