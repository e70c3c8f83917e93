/** Which stops a run accepts. */
import { describe, expect, it } from "vitest";
import type { RunState } from "../../src/core/run-state.ts";
import { stopRefusal } from "../../src/core/stop-order.ts";

type Facts = { readonly [K in "phase" | "stop" | "finished"]?: RunState[K] | undefined };
const refusal = (mode: "graceful" | "force", facts: Facts, unable?: string): string | undefined =>
  stopRefusal({ run: "p@r", phase: "started", ...facts } as RunState, { mode, by: "me" }, unable);

const graceful = { mode: "graceful", by: "me" } as unknown as RunState["stop"];
const forced = { mode: "force", by: "me" } as unknown as RunState["stop"];
const failed = { mode: "force", by: "me", failed: "no permission" } as unknown as RunState["stop"];

describe("a stop of a run", () => {
  it.each<[string, "graceful" | "force", Facts, string | undefined, RegExp | undefined]>([
    ["that goes on", "graceful", {}, undefined, undefined],
    ["that goes on", "force", {}, undefined, undefined],
    ["that is being stopped", "graceful", { stop: graceful }, undefined, /already; --force ends/],
    ["that is being stopped", "force", { stop: graceful }, undefined, undefined],
    ["that is being ended", "force", { stop: forced }, undefined, /being stopped already\.$/],
    ["that is being ended", "graceful", { stop: forced }, undefined, /being stopped already\.$/],
    ["that could not be ended", "force", { stop: failed }, undefined, undefined],
    ["whose orchestrator has it, and cannot", "force", {}, "batch", /batch cannot stop a run/],
    ["that waits for its turn", "graceful", { phase: "queued" }, "batch", undefined],
    ["that was never submitted", "graceful", { phase: "submitted" }, "batch", undefined],
    [
      "that has ended",
      "force",
      { finished: { status: "failed" } as RunState["finished"] },
      "batch",
      /has ended already: failed/,
    ],
  ])("%s, %s", (_what, mode, facts, unable, reason) => {
    if (reason === undefined) expect(refusal(mode, facts, unable)).toBeUndefined();
    else expect(refusal(mode, facts, unable)).toMatch(reason);
  });
});
