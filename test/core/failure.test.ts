/** What a ledger keeps of an error: its causes, their texts cut, and no circle. */
import { describe, expect, it } from "vitest";
import {
  clipError,
  errorTree,
  failureText,
  thrownFrom,
  toStepError,
  type StepError,
} from "../../src/core/failure.ts";
import { withoutControls } from "../../src/core/failure.ts";
import { EXIT_STATUS, isRetried } from "../../src/core/retry.ts";

const refused = (): Error =>
  Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:9"), { code: "ECONNREFUSED" });

describe("an error's causes", () => {
  it("are kept, nested and side by side, with their codes", () => {
    const error = toStepError(
      new TypeError("fetch failed", { cause: new AggregateError([refused(), "late"], "") }),
    );
    expect(error).toMatchObject({
      name: "TypeError",
      message: "fetch failed",
      cause: {
        name: "AggregateError",
        errors: [{ code: "ECONNREFUSED", stack: expect.any(String) }, { message: "late" }],
      },
    });
    expect(error.cause).not.toHaveProperty("cause");
  });

  it.each<[string, () => unknown, string[]]>([
    ["a text", () => new Error("a", { cause: "b" }), ["a", "b"]],
    ["no error at all", () => new Error("a", { cause: { status: 503 } }), ["a", '{"status":503}']],
    ["null", () => new Error("a", { cause: null }), ["a"]],
    [
      "a getter that throws",
      () =>
        Object.defineProperty(new Error("a"), "cause", {
          get() {
            throw new Error("no");
          },
        }),
      ["a"],
    ],
    [
      "a circle",
      () => {
        const [a, b] = [new Error("a"), new Error("b")];
        return Object.assign(a, { cause: Object.assign(b, { cause: a }) });
      },
      ["a", "b"],
    ],
  ])("may be %s", (_what, thrown, messages) => {
    expect([...errorTree(toStepError(thrown()))].map(({ message }) => message)).toEqual(messages);
  });

  it("are few and short enough for one line of a ledger, whatever is thrown", () => {
    const long = (): Error => {
      const error = new Error("\u0000".repeat(1e6));
      error.name = "\u0000".repeat(1e6);
      return Object.assign(error, { code: "\u0000".repeat(1e6) });
    };
    let chain: Error = new AggregateError(Array.from({ length: 1_000 }, long));
    for (let depth = 0; depth < 3; depth += 1) chain = Object.assign(long(), { cause: chain });
    let deep: Error = long();
    for (let depth = 0; depth < 50_000; depth += 1)
      deep = Object.assign(new Error("x"), { cause: deep });
    for (const thrown of [chain, deep]) {
      const kept = clipError(toStepError(thrown));
      expect([...errorTree(kept)]).toHaveLength(9);
      expect(Buffer.byteLength(JSON.stringify(kept))).toBeLessThan(800_000);
    }
  });

  it("keep 256 characters of a name and a code, 8,192 of a message, 2,048 of a cause's", () => {
    const text = "x".repeat(10_000);
    const long = { name: text, code: text, message: text, stack: text };
    const { cause, ...kept } = clipError({ ...long, cause: long });
    const lengths = ({ name, code, message, stack }: Partial<StepError>): unknown =>
      [name, code, message, stack].map((part) => part?.length);
    expect(lengths(kept)).toEqual([256, 256, 8_192, 8_192]);
    expect(lengths(cause!)).toEqual([256, 256, 2_048, 2_048]);
  });

  it.each([7, 8, 9])("are eight at most: of %i, one below the other or side by side", (many) => {
    let deep: Error = new Error("0");
    for (let nth = 1; nth < many; nth += 1) deep = new Error(String(nth), { cause: deep });
    const chain = toStepError(new Error("top", { cause: deep }));
    expect([...errorTree(chain)]).toHaveLength(1 + Math.min(many, 8));
    const wide = new AggregateError(Array.from({ length: many }, (_, nth) => new Error(`${nth}`)));
    expect(toStepError(wide).errors).toHaveLength(Math.min(many, 8));
  });

  it.each<[unknown, string]>([
    ["late", 'the step threw "late" instead of an Error'],
    [undefined, "the step threw undefined instead of an Error"],
    [Symbol("x"), "the step threw Symbol(x) instead of an Error"],
    [7n, "the step threw [object BigInt] instead of an Error"],
    [{ status: 503 }, '{"status":503}'],
  ])("what is thrown may be no error (%#)", (thrown, message) => {
    expect(toStepError(thrown)).toEqual({ name: "Error", message });
  });

  it("come back as errors that can be thrown", () => {
    const error = toStepError(new Error("a", { cause: new AggregateError([refused()], "b") }));
    const again = thrownFrom(error);
    expect(again.cause).toBeInstanceOf(AggregateError);
    expect(toStepError(again)).toEqual(error);
  });

  it("are said in one sentence, unless the message says them already", () => {
    const said = (thrown: unknown): string => failureText(toStepError(thrown));
    expect(said(new Error("fetch failed", { cause: refused() }))).toBe(
      "fetch failed (cause: connect ECONNREFUSED 127.0.0.1:9)",
    );
    expect(said(new Error(`no: ${refused().message}`, { cause: refused() }))).toBe(
      "no: connect ECONNREFUSED 127.0.0.1:9",
    );
    expect(said(new AggregateError([new Error("one"), new Error("two")], "both failed"))).toBe(
      "both failed (cause: one; two)",
    );
  });
});

it("leaves nothing in an error that a terminal would act on", () => {
  const text =
    "\u001b[1;31mred\u001b[0m \u001b]0;title\u0007" +
    "\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\" +
    "\ta\r\nb\rc\u0000\u009b\u007f \u001b(B\u001b[K\u001b";
  const { message, cause } = clipError(
    toStepError(new Error(text, { cause: new Error("\u001b[2Jcleared") })),
  );
  expect(message).toBe("red link\ta\nb\nc ");
  expect(cause!.message).toBe("cleared");
});

it("a line end of any kind stays one", () => {
  expect(withoutControls("a\rb\r\nc\nd")).toBe("a\nb\nc\nd");
});

describe("a retry policy", () => {
  const policy = {
    maxRetries: 1,
    delayMs: 0,
    backoff: 1,
    jitter: 0,
    on: ["ECONNREFUSED", "TooSlow"],
  };
  const slow = Object.assign(new Error("x"), { name: "TooSlow" });

  it.each<[string, unknown, boolean]>([
    ["its own code", refused(), true],
    ["its own name", slow, true],
    ["its cause's code", new Error("fetch failed", { cause: refused() }), true],
    ["its cause's cause", new Error("a", { cause: new Error("b", { cause: slow }) }), true],
    ["an error among several", new AggregateError([new Error("a"), refused()]), true],
    ["several errors as a cause", new Error("a", { cause: new AggregateError([slow]) }), true],
    ["a message only", new Error("ECONNREFUSED"), false],
    ["another cause", new Error("a", { cause: new RangeError("b") }), false],
  ])("goes by %s", (_what, thrown, retried) => {
    expect(isRetried(policy, toStepError(thrown))).toBe(retried);
  });

  it("goes by the status of a command", () => {
    const ended = { name: "ExitError", message: "x", code: "ORCHD_EXIT_STATUS", exitStatus: 75 };
    expect(isRetried({ ...policy, on: ["exit:75"] }, ended)).toBe(true);
    expect(isRetried({ ...policy, on: ["exit:7", "exit:175", "75"] }, ended)).toBe(false);
    expect(isRetried({ ...policy, on: ["ORCHD_EXIT_STATUS"] }, ended)).toBe(true);
    for (const word of ["exit:1", "exit:75", "exit:255"]) expect(word).toMatch(EXIT_STATUS);
    for (const word of ["exit:0", "exit:256", "exit:075", "exit:7x", "exit:"])
      expect(word).not.toMatch(EXIT_STATUS);
  });
});
