/** What a step's task has more, or less, where it runs in a container. */
import type { ContainerSpec } from "../core/container.ts";
import { defined } from "../core/defined.ts";
import type { SecretSource } from "../core/secret-source.ts";
import type { ModuleTask, ShellTask } from "../core/task.ts";
import type { Layer } from "./environment.ts";

/** What the daemon's environment says of this machine alone. */
const OF_THIS_MACHINE = new Set(["PATH", "HOME"]);

/**
 * A step's environment where it runs on another machine, or in a container: without what the
 * daemon's environment says of this machine alone, unless somebody set it.
 *
 * @param set the variables that somebody set for the step
 */
export function withoutThisMachine(
  env: Readonly<Record<string, string>>,
  set: Layer,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !OF_THIS_MACHINE.has(name) || Object.hasOwn(set, name)),
  );
}

/**
 * The task of a step in a container. Where this machine's programs and home are says nothing there,
 * unless somebody set it.
 *
 * @param set the variables that somebody set for the step
 * @param found the values of its secrets; gets one more
 * @throws Error, a sentence, if a secret is not there
 */
export function containerTask<T extends ModuleTask | ShellTask>(
  task: T,
  container: ContainerSpec,
  set: Layer,
  secrets: SecretSource,
  found: string[],
): T {
  const auth = registryAuth(container, secrets, found);
  const env = withoutThisMachine(task.env, set);
  const more = defined({ registryAuth: auth, secrets: found.length === 0 ? undefined : found });
  return { ...task, env, container, ...more };
}

/**
 * What the registry of a container's image asks for.
 *
 * @param found gets the secret's value
 * @throws Error, a sentence, if the secret is not there
 */
export function registryAuth(
  container: ContainerSpec,
  secrets: SecretSource,
  found: string[],
): string | undefined {
  if (container.image === undefined || container.auth === undefined) return undefined;
  const auth = secrets.get(container.auth.secret);
  found.push(auth);
  return auth;
}
