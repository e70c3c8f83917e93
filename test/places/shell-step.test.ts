/** What a shell step is given by its runner, and what is told of a command that failed. */
import { dirname } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { inheritedEnvironment } from "../../src/core/inherited-environment.ts";
import { PoolRig, type Ended } from "../support/pool-rig.ts";

const said = ({ result }: Ended): string => (result?.ok === false ? result.error.message : "");

it.each([
  ["the last line of its stderr", `printf 'one\\ntwo\\nthree\\n' >&2; exit 3`, ": three"],
  ["that line without an end", `printf 'one\\n' >&2; printf 'two' >&2; exit 3`, ": two"],
  [
    "that line, whatever stdout says after it",
    `echo one >&2; sleep 0.1; echo two; exit 3`,
    ": one",
  ],
  ["nothing where there is none", `echo out; exit 3`, ""],
  [
    "the beginning of a long line",
    `printf 'b%.0s' $(seq 499) >&2; echo ccc >&2; exit 3`,
    `: ${"b".repeat(499)}c`,
  ],
])("a command that failed is told by %s", async (_, text, end) => {
  const rig = new PoolRig();
  expect(said(await rig.startShell(text).ended)).toBe(`the command ended with status 3${end}`);
});

it.each(["0755", "0770", "1700", "0500"])(
  "no step gets a folder that another one left with mode %s",
  async (mode) => {
    const rig = new PoolRig({ threads: 1 });
    const look = `dir=$(dirname "$ORCHD_OUTPUT"); echo "$dir $(stat -c %a "$dir")"`;
    const first = await rig.startShell(`${look}; chmod ${mode} "$dir"`).ended;
    const second = await rig.startShell(look).ended;
    const [before, after] = [first, second].map(({ lines }) => lines[0]!.line.split(" "));
    expect(before![1]).toBe("700");
    expect(after![1]).toBe("700");
    expect(dirname(after![0]!)).toBe(dirname(before![0]!));
    expect(after![0]).not.toBe(before![0]);
  },
);

it("a step has PATH, HOME, LANG and TZ of the machine, and nothing else of it", async () => {
  vi.stubEnv("LANG", "C.UTF-8");
  vi.stubEnv("TZ", "Asia/Kathmandu");
  vi.stubEnv("OF_THE_DAEMON", "1");
  onTestFinished(() => void vi.unstubAllEnvs());
  const own = inheritedEnvironment(process.env);
  expect(Object.keys(own).toSorted()).toEqual(["HOME", "LANG", "PATH", "TZ"]);
  const rig = new PoolRig();
  const { lines } = await rig.startShell("env").ended;
  const given = new Map(lines.map(({ line }) => line.split(/=(.*)/s, 2) as [string, string]));
  for (const [name, value] of Object.entries(own)) expect(given.get(name)).toBe(value);
  expect(given.has("OF_THE_DAEMON")).toBe(false);
  const module = await rig.startBody("return [process.env.TZ, new Date(0).getHours()];").ended;
  expect(module.result).toEqual({ ok: true, value: ["Asia/Kathmandu", 5] });
});
