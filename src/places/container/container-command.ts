/**
 * The words of the engine's command that runs a step in a container of its own. Pure.
 *
 * No value of a variable is among the words: anybody on this machine can read those. The engine
 * takes a variable's value from its own environment (`--env NAME`). Some names mean something to
 * the engine itself, such as PATH and HOME: those are given in a file that only this user can read.
 */
import { basename } from "node:path";
import { CONTAINER_FILES, type ImageContainer } from "../../core/container.ts";
import type { ShellTask } from "../../core/task.ts";
import { NotGivable } from "../shell-environment.ts";
import type { EngineName } from "./engine.ts";

/** Names that the engine's own program, or what it starts, reads. */
const ENGINE_NAMES = new RegExp(
  "^(PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|PWD|LD_.*|XDG_.*|_?CONTAINERS?_.*|" +
    "STORAGE_.*|DOCKER_.*|BUILDAH_.*|PODMAN_.*|REGISTRY_AUTH_FILE|SSL_CERT_.*|GO.*|GRPC_.*|" +
    "OTEL_.*|DBUS_.*|NOTIFY_SOCKET|LISTEN_.*|NO_COLOR|DEBUG|.*_proxy|.*_PROXY)$",
);

/** How the variables of a step are given to its container. */
export interface GivenVariables {
  /** `--env NAME`, for each whose value is in the engine's environment. */
  readonly words: readonly string[];
  /** What the engine's environment has for it. */
  readonly env: Readonly<Record<string, string>>;
  /** The lines of the file with all others. Empty: no file is needed. */
  readonly file: string;
}

/**
 * Divides the variables of a step.
 *
 * @throws NotGivable for a line break in the value of a name that the engine reads itself
 */
export function givenVariables(env: Readonly<Record<string, string>>): GivenVariables {
  const words: string[] = [];
  const own: Record<string, string> = {};
  let file = "";
  for (const [name, value] of Object.entries(env)) {
    if (!ENGINE_NAMES.test(name)) {
      words.push("--env", name);
      own[name] = value;
    } else if (/[\r\n]/.test(value) || value.length > 32_768)
      throw new NotGivable(
        `env ${name} is a name that the container engine reads itself, and its value has a line ` +
          "break or is longer than 32 KiB: use another name",
      );
    else file += `${name}=${value}\n`;
  }
  return { words, env: own, file };
}

/** What is decided of any container besides its step. */
interface CommonFacts {
  readonly engine: EngineName;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** This machine has SELinux. */
  readonly relabels: boolean;
}

/** What is decided of the container of a shell step. */
export interface ContainerFacts extends CommonFacts {
  /** The folder that is mounted for the step's files. */
  readonly files: string;
  readonly variables: GivenVariables;
  /** The file of {@link GivenVariables.file}. */
  readonly envFile?: string | undefined;
}

/** What is decided of the container of a runner. */
export interface RunnerFacts extends CommonFacts {
  /** The id of the image. */
  readonly image: string;
  /** The folder of this machine that is mounted: orchd's package, or `node_modules` above it. */
  readonly package: string;
  /** The runner's program below it. */
  readonly program: string;
  /** The folder of this machine that is mounted at {@link WIRE_FOLDER}. */
  readonly wire: string;
}

/** The shell and its text, as the last words. */
export type Script = readonly [program: string, ...words: string[]];

type Flag = readonly [name: string, value: string | undefined];

/** Where orchd's own package is in the container of a runner. */
export const PACKAGE_FOLDER = "/orchd-package";
/** Where the folder of the daemon's socket is in it. */
export const WIRE_FOLDER = "/orchd-wire";

/** The words of `run` for a shell step. The image is never pulled by it. */
export function runWords(
  container: ImageContainer,
  { memoryMb }: Pick<ShellTask, "memoryMb">,
  script: Script,
  facts: ContainerFacts,
): string[] {
  const { files, variables, envFile, relabels } = facts;
  const [program, ...rest] = [...(container.entrypoint ?? []), ...script];
  return [
    ...begin(facts, ["--log-driver=json-file", "--log-opt=max-size=64m"]),
    ...words([
      // Volumes get the label of the container.
      ["volume", `${files}:${CONTAINER_FILES}${relabels ? ":Z" : ""}`],
      ...settingsOf(container, facts, memoryMb),
      ["env-file", envFile],
      ["entrypoint", program],
    ]),
    ...variables.words,
    ...container.options,
    container.image,
    ...rest,
  ];
}

/**
 * The words of `run` for a runner of module steps. All that it is told comes by its stdin, and no
 * engine keeps what it says: that is full of values.
 */
export function runnerWords(container: ImageContainer, facts: RunnerFacts): string[] {
  const { image, relabels } = facts;
  // Packages find one another only in a folder of that name.
  const isAmongPackages = basename(facts.package) === "node_modules";
  const mounted = isAmongPackages ? `${PACKAGE_FOLDER}/node_modules` : PACKAGE_FOLDER;
  const [program, ...rest] = [...(container.entrypoint ?? []), "node"];
  return [
    ...begin(facts, ["--interactive", "--log-driver=none"]),
    // The package is not labelled again: it is this machine's own. Nor is the daemon's socket.
    ...(relabels ? ["--security-opt=label=disable"] : []),
    ...words([
      ["volume", `${facts.package}:${mounted}:ro`],
      ["volume", `${facts.wire}:${WIRE_FOLDER}:ro`],
      ...settingsOf(container, facts),
      ["entrypoint", program],
    ]),
    ...container.options,
    image,
    ...rest,
    `${mounted}/${facts.program}`,
    "--stdio",
  ];
}

function begin({ engine, name, labels }: CommonFacts, own: readonly string[]): string[] {
  return [
    "run",
    // A program that is process 1 hears no signal: the engine's small init is, and passes them on.
    "--init",
    "--pull=never",
    "--sig-proxy=false",
    ...own,
    // It puts the proxies of the daemon's environment into containers.
    ...(engine === "podman" ? ["--http-proxy=false"] : []),
    `--name=${name}`,
    ...Object.entries(labels).map(([label, value]) => `--label=${label}=${value}`),
  ];
}

function settingsOf(container: ImageContainer, { engine }: CommonFacts, memoryMb?: number): Flag[] {
  const { cpus, gpus, network, user, workdir, platform, volumes } = container;
  return [
    ...volumes.map((volume): Flag => ["volume", volume]),
    ["network", network],
    ["user", user],
    ["workdir", workdir],
    ["platform", platform],
    ["memory", memoryMb === undefined ? undefined : `${memoryMb}m`],
    ["cpus", cpus === undefined ? undefined : String(cpus)],
    ...gpuFlags(engine, gpus),
  ];
}

function words(flags: readonly Flag[]): string[] {
  return flags.flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}=${value}`]));
}

function gpuFlags(engine: EngineName, gpus: number | undefined): Flag[] {
  if (gpus === undefined) return [];
  // Podman takes --gpus and does nothing.
  return engine === "docker"
    ? [["gpus", String(gpus)]]
    : Array.from({ length: gpus }, (_, index) => ["device", `nvidia.com/gpu=${index}`]);
}

/** The words of `pull`, without the credentials. */
export function pullWords({ image, platform }: ImageContainer): string[] {
  return ["pull", ...(platform === undefined ? [] : [`--platform=${platform}`]), image];
}
