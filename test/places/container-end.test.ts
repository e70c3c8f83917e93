/** What the end of a container says of the command in it: every sentence, and both codes. */
import { describe, expect, it } from "vitest";
import {
  containerError,
  endedResult,
  endError,
  errorOf,
  initFault,
  otherProcessor,
} from "../../src/places/container/container-end.ts";
import { EngineError } from "../../src/places/container/engine.ts";
import { NotGivable } from "../../src/places/shell-environment.ts";

const TINI = "[FATAL tini (7)] exec /entry failed: ";
const CATATONIT = "ERROR (catatonit:2): failed to exec pid1: ";
const image = { image: "tool:1" };
const none = "the image tool:1 has no /bin/sh: name another one by shell, or by entrypoint";

describe("that nothing of a step ran", () => {
  it.each([
    [`${TINI}No such file or directory`, none],
    [`${CATATONIT}No such file or directory`, none],
    [`${CATATONIT}executable file not found in $PATH`, none],
    [`${TINI}Exec format error`, otherProcessor("tool:1")],
    [`${TINI}Permission denied`, "/bin/sh of the image tool:1 could not be run: Permission denied"],
    ["No such file or directory", undefined],
    [`${TINI}x\nlast`, undefined],
    ["", undefined],
  ])("%j", (said, fault) => {
    expect(initFault(said, image, [])).toBe(fault);
  });

  it("names the program that was to run: the entrypoint, else the shell", () => {
    const said = `${TINI}No such file or directory`;
    expect(initFault(said, image, ["/bin/bash", "-eu"])).toContain("has no /bin/bash:");
    const entered = { ...image, entrypoint: ["/entry", "x"] };
    expect(initFault(said, entered, ["/bin/bash"])).toContain("has no /entry:");
    expect(otherProcessor("tool:1")).toMatch(/^the image tool:1 is for another kind of processor/);
  });
});

describe("a status", () => {
  const error = (status: number, said = "", memoryMb?: number, outOfMemory = false) =>
    endError(status, { outOfMemory }, { memoryMb, step: "load" }, said);

  it.each([
    [1, "the command ended with status 1", "ORCHD_EXIT_STATUS"],
    [127, "the command ended with status 127", "ORCHD_EXIT_STATUS"],
    [128, "the command ended with status 128", "ORCHD_EXIT_STATUS"],
    [129, "the command was ended by SIGHUP (status 129)", "ORCHD_SIGNAL"],
    [143, "the command was ended by SIGTERM (status 143)", "ORCHD_SIGNAL"],
    [255, "the command ended with status 255", "ORCHD_EXIT_STATUS"],
  ])("%i", (status, message, code) => {
    expect(error(status)).toMatchObject({ name: "ExitError", message, exitStatus: status });
    expect(error(status, "last words").message).toBe(`${message}: last words`);
    expect(error(status).code).toBe(code);
  });

  it("of a kill may mean memory, where it has a limit", () => {
    expect(error(137).message).toBe("the command was ended by SIGKILL (status 137)");
    expect(error(137, "x", 64).message).toBe(
      "the command was ended by SIGKILL (status 137): x; perhaps it wanted more than its 64 MiB " +
        "of memory",
    );
    expect(error(143, "", 64).message).not.toContain("perhaps");
  });

  it("out of memory: its own limit, or the machine's", () => {
    expect(error(137, "x", 64, true)).toMatchObject({
      name: "OutOfMemory",
      message: expect.stringMatching(/^step "load" wants more than its limit of 64 MiB/) as string,
      exitStatus: 137,
    });
    expect(error(137, "x", undefined, true).message).toBe(
      'step "load" was ended by the kernel: this machine has no memory left',
    );
  });
});

it("an attempt that was told to end is stopped, or has a time limit that retries know", () => {
  const ending = { because: "it took longer than 5s", forced: false };
  expect(endedResult({ ...ending, outcome: "stopped" })).toEqual({
    ok: false,
    outcome: "stopped",
    error: { name: "Stopped", message: "it took longer than 5s" },
  });
  expect(endedResult({ ...ending, outcome: "timeout" })).toEqual({
    ok: false,
    outcome: "timeout",
    error: {
      name: "TimeoutError",
      message: "it took longer than 5s: raise it (timeout), or find what holds it up",
      code: "ORCHD_STEP_TIMEOUT",
    },
  });
});

it("what went wrong as it was begun is the engine's, the command's, or its own", () => {
  expect(containerError("x")).toMatchObject({ name: "ContainerError", message: "x" });
  expect(errorOf(new NotGivable("too long"))).toMatchObject({
    name: "ContainerError",
    message: "the command could not be started: too long",
  });
  expect(errorOf(Object.assign(Object.create(EngineError.prototype), { message: "gone" }))).toEqual(
    containerError("gone"),
  );
  expect(errorOf(new TypeError("x"))).toMatchObject({ name: "TypeError", message: "x" });
});
