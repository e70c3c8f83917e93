/**
 * The words of the engine's command that runs a step in a container of its own. Pure.
 *
 * No value of a variable is among the words: anybody on this machine can read those. The engine
 * takes a variable's value from its own environment (`--env NAME`). Some names mean something to
 * the engine itself, such as PATH and HOME: those are given in a file that only this user can read.
 */
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

/** What is decided of a container besides its step. */
export interface ContainerFacts {
  readonly engine: EngineName;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The folder that is mounted for the step's files. */
  readonly files: string;
  readonly variables: GivenVariables;
  /** The file of {@link GivenVariables.file}. */
  readonly envFile?: string | undefined;
  /** Volumes get the label of the container: this machine has SELinux. */
  readonly relabels: boolean;
}

/** The shell and its text, as the last words. */
export type Script = readonly [program: string, ...words: string[]];

/** The words of `run`. The image is never pulled by it. */
export function runWords(
  container: ImageContainer,
  { memoryMb }: Pick<ShellTask, "memoryMb">,
  script: Script,
  facts: ContainerFacts,
): string[] {
  const { cpus, gpus, network, user, workdir, platform, entrypoint, volumes, options } = container;
  const { engine, name, labels, files, variables, envFile, relabels } = facts;
  const [program, ...rest] = [...(entrypoint ?? []), ...script];
  const flags: (readonly [string, string | undefined])[] = [
    ["name", name],
    ...Object.entries(labels).map(([label, value]) => ["label", `${label}=${value}`] as const),
    ["volume", `${files}:${CONTAINER_FILES}${relabels ? ":Z" : ""}`],
    ...volumes.map((volume) => ["volume", volume] as const),
    ["network", network],
    ["user", user],
    ["workdir", workdir],
    ["platform", platform],
    ["memory", memoryMb === undefined ? undefined : `${memoryMb}m`],
    ["cpus", cpus === undefined ? undefined : String(cpus)],
    ...gpuFlags(engine, gpus),
    ["env-file", envFile],
    ["entrypoint", program],
  ];
  return [
    "run",
    // A shell that is process 1 hears no signal: the engine's small init is, and passes them on.
    "--init",
    "--pull=never",
    "--sig-proxy=false",
    "--log-driver=json-file",
    "--log-opt=max-size=64m",
    // It puts the proxies of the daemon's environment into containers.
    ...(engine === "podman" ? ["--http-proxy=false"] : []),
    ...flags.flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}=${value}`])),
    ...variables.words,
    ...options,
    container.image,
    ...rest,
  ];
}

function gpuFlags(
  engine: EngineName,
  gpus: number | undefined,
): (readonly [string, string | undefined])[] {
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
