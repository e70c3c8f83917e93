/** Compiles `on`: the labels of the place that a step runs on, and what does not go with them. */
import { writtenContainer } from "./compile-container.ts";
import type { FieldPath } from "./fault.ts";
import type { PipelineDefinition, StepDefinition } from "./pipeline.ts";
import { LABEL_PATTERN, LOCAL_LABEL } from "./place-schema.ts";

/** What `on` is compiled against. */
export interface LabelContext {
  /** The pipeline's own container. */
  readonly container?: PipelineDefinition["container"];
  /** The labels of a step that says nothing: those of the pipeline's place. */
  readonly on?: readonly string[] | undefined;
}

/**
 * The labels that a step's place must have: sorted, each once. Undefined: it runs on this machine.
 *
 * @param fault hears what is wrong; then the answer must not be used. Its path begins at the step
 */
export function labelsOf(
  written: StepDefinition,
  { container, on: usual }: LabelContext,
  fault: (at: FieldPath, message: string, atKey?: boolean) => void,
): readonly string[] | undefined {
  const labels = written.on === undefined ? undefined : ownLabels(written.on, fault);
  const on = labels === undefined ? usual : labels.length === 0 ? undefined : labels;
  if (on === undefined) return undefined;
  const at: FieldPath = written.on === undefined ? [] : ["on"];
  const where = `${written.on === undefined ? "runs on" : "names"} ${on.join(" and ")}`;
  if (writtenContainer(written, { container }) !== undefined)
    fault(
      at,
      `${where}, and containers run on this machine (local): write container: false, or on: local`,
    );
  if (written.cwd !== undefined && !written.cwd.startsWith("/"))
    fault(
      ["cwd"],
      `is ${JSON.stringify(written.cwd)}, from the pipeline file's folder, and the step ` +
        `runs on ${on.join(" and ")}: write an absolute path of that machine`,
    );
  return on;
}

/** The labels that a step names. None: it names this machine. */
function ownLabels(
  on: NonNullable<StepDefinition["on"]>,
  fault: (at: FieldPath, message: string) => void,
): readonly string[] {
  const labels = [on].flat();
  if (labels.length === 0) fault(["on"], "names no label: name one, or local for this machine");
  for (const [index, label] of labels.entries()) {
    const at = ["on", ...(Array.isArray(on) ? [index] : [])];
    if (!LABEL_PATTERN.test(label))
      fault(
        at,
        `names ${JSON.stringify(label.slice(0, 80))}, which is no label: letters, digits, ., - ` +
          "and _, beginning with a letter or a digit",
      );
    else if (label === LOCAL_LABEL && labels.length > 1)
      fault(at, "names local, this machine, beside other labels: no place has both");
  }
  return labels.every((label) => label === LOCAL_LABEL) ? [] : [...new Set(labels)].sort();
}
