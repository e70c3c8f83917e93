/** Compiles the container of a step, and says what does not go with it. */
import { CONTAINER_FILES, type ContainerSpec } from "./container.ts";
import { CONTAINER_NAME, type ContainerDefinition } from "./container-schema.ts";
import { defined } from "./defined.ts";
import type { FieldPath } from "./fault.ts";
import type { StepDefinition } from "./pipeline.ts";

type Resources = NonNullable<StepDefinition["resources"]>;

/** What may stand beside `exec`. */
const WITH_EXEC = new Set(["exec", "user", "workdir", "env"]);

/** Reports that something is wrong. */
type Complain = (at: FieldPath, message: string, atKey?: boolean) => void;

/** What a container is compiled against. */
export interface ContainerContext {
  /** The pipeline's own. */
  readonly container?: ContainerDefinition | undefined;
  /** Resolves a path from the pipeline file's folder. */
  absolutePath(path: string): string;
}

/** The container that a step is written to run in: its own, or else the pipeline's. */
export function writtenContainer(
  { container }: StepDefinition,
  context: Pick<ContainerContext, "container">,
): ContainerDefinition | undefined {
  return typeof container === "boolean" ? undefined : (container ?? context.container);
}

/**
 * The container of a step, with its defaults. Undefined: it runs in none.
 *
 * @param fault hears what is wrong; then the answer must not be used. Its path begins at the step
 */
export function containerOf(
  written: StepDefinition,
  context: ContainerContext,
  fault: Complain,
): ContainerSpec | undefined {
  const container = writtenContainer(written, context);
  if (container === undefined) {
    for (const key of ["cpus", "gpus"] as const)
      if (written.resources?.[key] !== undefined)
        fault(["resources", key], "belongs to a step in a container", true);
    return undefined;
  }
  // What is wrong with the pipeline's own is told once for each step: at the step.
  const own = written.container === undefined ? [] : ["container"];
  const complain: Complain = (at, message, atKey) =>
    own.length === 0
      ? fault(
          [],
          `takes the pipeline's container, whose ${["container", ...at].join(".")} ${message}`,
        )
      : fault([...own, ...at], message, atKey);
  if (written.cwd !== undefined)
    fault(["cwd"], "is a folder of this machine: write container.workdir", true);
  const spec = compiled(container, written.resources ?? {}, context, complain);
  if (spec.exec !== undefined && written.uses !== undefined)
    complain(
      ["exec"],
      "is for shell steps (run): a module (uses) wants an image with Node; to have it on this " +
        "machine, write container: false",
    );
  else if (spec.exec !== undefined) checkExec(written, fault);
  return spec;
}

/** A container that runs already holds no files of the step, and nobody knows what is in it. */
function checkExec(written: StepDefinition, fault: Complain): void {
  const why = "cannot go with container.exec:";
  if (written.outputs !== undefined)
    fault(["outputs"], `${why} there is no $ORCHD_OUTPUT in a container that runs already`, true);
  if (written.enableCache === true || written.cache !== undefined)
    fault(
      [written.cache === undefined ? "enableCache" : "cache"],
      `${why} nobody knows what is in a container that runs already`,
      true,
    );
  for (const key of Object.keys(written.resources ?? {}))
    fault(["resources", key], `${why} the limits of a container that runs already stand`, true);
}

function compiled(
  written: ContainerDefinition,
  resources: Resources,
  context: ContainerContext,
  fault: Complain,
): ContainerSpec {
  const block = typeof written === "string" ? { image: written } : written;
  const user = block.user === undefined ? undefined : String(block.user);
  const { workdir } = block;
  if (block.exec !== undefined) {
    for (const key of Object.keys(block))
      if (!WITH_EXEC.has(key))
        fault([key], "cannot go with exec: that container runs already", true);
    return defined({ exec: block.exec, user, workdir });
  }
  if (block.image === undefined)
    fault([], "needs either image or exec (a container that runs already)");
  const { volumes = [], entrypoint } = block;
  return defined({
    image: block.image ?? "",
    pull: block.pull ?? "missing",
    volumes: volumes.map((volume, index) =>
      volumeOf(volume, context.absolutePath, (message) => fault(["volumes", index], message)),
    ),
    network: block.network,
    user,
    auth: block.auth,
    keep: block.keep ?? "never",
    entrypoint: typeof entrypoint === "string" ? [entrypoint] : entrypoint,
    workdir,
    platform: block.platform,
    options: block.options ?? [],
    cpus: resources.cpus,
    gpus: resources.gpus,
  });
}

function volumeOf(
  volume: string,
  absolutePath: (path: string) => string,
  fault: (message: string) => void,
): string {
  const [host = "", inside = "", ...options] = volume.split(":");
  if (options.length > 1 || !inside.startsWith("/") || /[\0\n]/.test(volume))
    fault(`is ${JSON.stringify(volume)}, and must be HOST:CONTAINER, or with :ro at its end`);
  else if (inside === CONTAINER_FILES || inside.startsWith(`${CONTAINER_FILES}/`))
    fault(`is mounted at ${inside}, where orchd has the step's files`);
  const isPath = host.startsWith("/") || host.startsWith(".");
  if (!isPath && !CONTAINER_NAME.test(host))
    fault(
      `names ${JSON.stringify(host)}, which is neither a volume nor a path: begin a path with ` +
        "/ or ./",
    );
  return [isPath ? absolutePath(host) : host, inside, ...options].join(":");
}
