/** Which layer of a step's environment wins, and where the names of the run are filled in. */
import { expect, it } from "vitest";
import { inheritedEnvironment } from "../../src/core/inherited-environment.ts";
import { setEnvironment } from "../../src/core/set-environment.ts";

const RUN = { id: "p@1", scheduledFor: "2026-11-23T02:00:00.000Z" };

it("the step's own wins over the pipeline's, the stack's and that of orchd.yaml", () => {
  const layers = {
    baseEnv: { A: "base", B: "base", C: "base", D: "base ${run.id}" },
    stackEnv: { B: "stack", C: "stack", E: "stack ${run.id}" },
    env: { C: "pipeline", F: "pipeline ${run.id}" },
  };
  const own = { G: "own ${run.id}", F2: { secret: "S" } };
  const set = { A: "base", D: "base p@1", F: "pipeline p@1", G: "own p@1", F2: { secret: "S" } };
  expect(setEnvironment(layers, own, RUN)).toEqual({
    ...set,
    B: "stack",
    C: "pipeline",
    // The stack's values are a program's own, and stay as they are.
    E: "stack ${run.id}",
  });
  const { stackEnv: _none, ...without } = layers;
  expect(setEnvironment(without, own, RUN)).toEqual({ ...set, B: "base", C: "pipeline" });
  expect(setEnvironment(layers, { C: "own", A: "own" }, RUN)).toMatchObject({ A: "own", C: "own" });
});

it("of the host a step gets where its programs, home, language and zone are", () => {
  const own = { PATH: "/bin", HOME: "/h", LANG: "C", TZ: "UTC", TOKEN: "x", USER: "u" };
  const { TOKEN: _token, USER: _user, ...inherited } = own;
  expect(inheritedEnvironment(own)).toEqual(inherited);
  expect(inheritedEnvironment({ PATH: "", HOME: undefined })).toEqual({ PATH: "" });
});
