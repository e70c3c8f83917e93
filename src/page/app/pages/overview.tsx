/** Overview: the five questions answered, and every pipeline in a row. */
import type { Overview as OverviewView } from "../../../views/overview.ts";
import { ProblemBox, Waiting } from "../problem-box.tsx";
import { useView } from "../view.ts";

export function Overview() {
  const { value, problem } = useView<OverviewView>("overview");
  if (value === undefined)
    return problem === undefined ? (
      <Waiting what="the ledgers" />
    ) : (
      <ProblemBox problem={problem} />
    );
  return <h1>Overview of {value.pipelines.length} pipelines</h1>;
}
