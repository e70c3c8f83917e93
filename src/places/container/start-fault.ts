/** Why a container could not be started, and what a person can do. Pure. */
import type { ImageContainer } from "../../core/container.ts";
import { sentenceOf, type EngineName } from "./engine.ts";

/** How a command of the engine ended that began nothing. */
export interface FailedStart {
  readonly status: number | null;
  /** What the engine said on stderr. */
  readonly said: string;
}

/** The sentence for a container that the engine did not start. */
export function startFault(
  { status, said }: FailedStart,
  container: ImageContainer,
  engine: EngineName,
): string {
  const { image } = container;
  const sentence = sentenceOf({ status, stdout: "", stderr: said });
  const why = known(sentence, container, engine) ?? sentence;
  return `the container of ${image} could not be started: ${why}`;
}

/** Undefined: the engine's words have to do. */
function known(
  said: string,
  { image, volumes }: ImageContainer,
  engine: EngineName,
): string | undefined {
  const [, folder] =
    /\bl?stat(?:fs)? (\/.+): no such file/i.exec(said) ??
    /source path does not exist: (\/.+)/i.exec(said) ??
    [];
  if (folder !== undefined && volumes.some((volume) => volume.startsWith(`${folder}:`)))
    return `${folder} of container.volumes is not there: make that folder, or mend its path`;
  const [, kind, name] = /unable to find (user|group) ([^:]+):/i.exec(said) ?? [];
  if (kind !== undefined)
    return `the image has no ${kind} ${name} (container.user): name one that it has, or a number`;
  const [, network] =
    /network with name or ID (\S+): network not found/i.exec(said) ??
    /network (\S+) not found/i.exec(said) ??
    [];
  if (network !== undefined)
    return (
      `${engine} has no network ${network} (container.network): make it with ` +
      `\`${engine} network create ${network}\`, or name another one`
    );
  const [, workdir] = /workdir "(.+)" does not exist/i.exec(said) ?? [];
  if (workdir !== undefined)
    return `the image has no folder ${workdir} (container.workdir): name one that it has`;
  if (/unknown (shorthand )?flag/i.test(said)) return `${said} (container.options)`;
  if (/no space left/i.test(said)) return "the disk of the engine's storage is full";
  if (/no such image|image not known/i.test(said)) return missingImage(image, engine);
  return undefined;
}

/** That an image is not there and may not be pulled. */
export function missingImage(image: string, engine: EngineName): string {
  return (
    `the image ${image} is not there, and container.pull is never: get it with ` +
    `\`${engine} pull ${image}\`, or let pull be missing`
  );
}
