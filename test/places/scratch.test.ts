/**
 * Promise 38, the files of shell steps: whatever a command does to its scratch folder, it hurts
 * neither the runner, nor a step beside it, nor one after it. In a real runner.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { removeTrees } from "../../src/disk/remove-tree.ts";
import { awaitSight } from "../support/await-event.ts";
import { reached } from "../support/figures.ts";
import { PoolRig } from "../support/pool-rig.ts";
import { tempRoot } from "../support/temp-root.ts";

/** A command, and its result or what its error says. */
interface Case {
  readonly text: string;
  readonly value?: unknown;
  readonly says?: RegExp;
  /** It removes what belongs to the step beside it as well. */
  readonly farther?: true;
}

const HERE = `dir=$(dirname "$ORCHD_OUTPUT"); `;
const NOT_A_FILE = `step "it" made \\$ORCHD_OUTPUT `;

const CASES: Record<string, Case> = {
  "the output is a folder": {
    text: `mkdir "$ORCHD_OUTPUT"; echo 1 > "$ORCHD_OUTPUT/x"`,
    says: new RegExp(`${NOT_A_FILE}a folder`),
  },
  "the output is a FIFO": {
    text: `mkfifo "$ORCHD_OUTPUT"`,
    says: new RegExp(`${NOT_A_FILE}a FIFO`),
  },
  "the output is a socket": {
    text: `node -e 'require("net").createServer().listen(process.env.ORCHD_OUTPUT, () => {
      process.reallyExit(0); })'`,
    says: new RegExp(`${NOT_A_FILE}a socket`),
  },
  "the output is a link to a device": {
    text: `ln -s /dev/zero "$ORCHD_OUTPUT"`,
    says: new RegExp(`${NOT_A_FILE}a device`),
  },
  "the output is a link to nothing": {
    text: `ln -s /nowhere "$ORCHD_OUTPUT"`,
    says: new RegExp(`${NOT_A_FILE}a link to nothing`),
  },
  "the output is a link to itself": {
    text: `ln -s "$(basename "$ORCHD_OUTPUT")" "$ORCHD_OUTPUT"; test -L "$ORCHD_OUTPUT"`,
    says: new RegExp(`${NOT_A_FILE}a link to itself`),
  },
  "the output is a link to a file elsewhere": {
    text: `echo 7 > kept.json; ln -s "$PWD/kept.json" "$ORCHD_OUTPUT"`,
    value: 7,
  },
  "the output is larger than a result may be": {
    text: `truncate -s 33554433 "$ORCHD_OUTPUT"`,
    says: /step "it" wrote 33554433 bytes to \$ORCHD_OUTPUT; at most 33554432/,
  },
  "the output is empty": { text: `: > "$ORCHD_OUTPUT"`, value: null },
  "its folder is removed": { text: `${HERE}rm -rf "$dir"`, value: null },
  "its folder is a file": { text: `${HERE}rm -rf "$dir"; echo 1 > "$dir"`, value: null },
  "its folder is a link": { text: `${HERE}rm -rf "$dir"; ln -s / "$dir"`, value: null },
  "the folder above is removed": {
    text: `${HERE}rm -rf "$(dirname "$dir")"`,
    value: null,
    farther: true,
  },
  "the files of params and inputs are folders": {
    text: `rm "$ORCHD_PARAMS" "$ORCHD_PARAM_list"; mkdir -p "$ORCHD_PARAMS/a" "$ORCHD_PARAM_list"
      rm "$ORCHD_INPUTS"; ln -s / "$ORCHD_INPUTS"`,
    value: null,
  },
  "folders and files without rights": {
    text: `${HERE}mkdir -p "$dir/a/b"; echo 1 > "$dir/a/b/c"; chmod 000 "$dir/a/b/c" "$dir/a/b"
      chmod 000 "$dir/a" "$dir"`,
    value: null,
  },
  "names with line breaks, dashes and bytes that are no text": {
    text: `${HERE}cd "$dir"; touch -- "-rf" "a
b" " " "$(printf '\\377')"; mkdir -- "--
x"`,
    value: null,
  },
  "more files than can be removed in a moment": {
    text: `${HERE}cd "$dir"; mkdir many; cd many; seq 20000 | xargs touch`,
    value: null,
  },
  "folders deeper than a path may be long": {
    text: `${HERE}cd "$dir"; n=$(printf 'd%.0s' $(seq 200))
      for i in $(seq 40); do mkdir $n; cd -P $n 2>/dev/null || cd $n; done`,
    value: null,
  },
  "its folder is another one of that name": {
    text: `${HERE}rm -rf "$dir"; mkdir -m 777 "$dir"`,
    value: null,
  },
  "its folder has other rights": { text: `${HERE}chmod 1777 "$dir"`, value: null },
  "it is the working folder of the command": {
    text: `${HERE}cd "$dir"; rm -rf "$dir"`,
    value: null,
  },
};

const PARTS = { params: { list: [1, 2], name: "x" }, inputs: { data: { a: 1 } } };

describe("the scratch folder of a step", () => {
  for (const secrets of [undefined, ["canary"]]) {
    const where = secrets === undefined ? "on the disk" : "in memory";
    it(`does not matter to others, whatever the command does to it, ${where}`, async () => {
      const rig = new PoolRig({ threads: 3 });
      const parts = secrets === undefined ? PARTS : { ...PARTS, secrets };
      let scratch = "";
      const faults: string[] = [];
      for (const [name, { text, value, says, farther }] of Object.entries(CASES)) {
        const go = join(rig.folder, "go");
        rmSync(go, { force: true });
        const beside = rig.startShell(
          `echo "$ORCHD_OUTPUT"; until [ -e go ]; do sleep 0.02; done
           cat "$ORCHD_INPUT_data" > "$ORCHD_OUTPUT"`,
          parts,
        );
        scratch = dirname(dirname((await beside.firstLine).line));
        const pids = rig.pool.pids();
        const { result } = await rig.startShell(text, parts).ended;
        if (says === undefined) {
          if (!(result?.ok === true && result.value === value))
            faults.push(`${name}: ${JSON.stringify(result)}`);
        } else if (result?.ok !== false || !says.test(result.error.message))
          faults.push(`${name}: ${JSON.stringify(result)}`);
        writeFileSync(go, "");
        const others = [await beside.ended];
        others.push(await rig.startShell(`cat "$ORCHD_INPUT_data" > "$ORCHD_OUTPUT"`, parts).ended);
        // What is removed with the folder above is lost to the step beside it, and to it alone.
        for (const other of farther === true ? others.slice(1) : others)
          if (JSON.stringify(other.result) !== `{"ok":true,"value":{"a":1}}`)
            faults.push(`${name}: ${JSON.stringify(other)}`);
        if (JSON.stringify(rig.pool.pids()) !== JSON.stringify(pids))
          faults.push(`${name}: the runner died`);
      }
      await awaitSight(
        scratch,
        () => (!existsSync(scratch) || readdirSync(scratch).length === 0 ? true : undefined),
        () => `an empty ${scratch}, not ${readdirSync(scratch).join(", ")}`,
        20_000,
      );
      expect(faults).toEqual([]);
      const count = Object.keys(CASES).length;
      reached(38, `what a command does to its scratch folder ${where}`, count, count);
    });
  }

  it("is another one for each attempt, of one step too", async () => {
    const rig = new PoolRig({ threads: 4 });
    const text = `echo "$ORCHD_OUTPUT"; echo "$ORCHD_PARAM_n" > "$ORCHD_OUTPUT"
      until [ -e go ]; do sleep 0.02; done`;
    const steps = [1, 2, 3].map((n) => rig.startShell(text, { params: { n } }));
    const lines = await Promise.all(steps.map(({ firstLine }) => firstLine));
    expect(new Set(lines.map(({ line }) => line)).size).toBe(3);
    writeFileSync(join(rig.folder, "go"), "");
    const ended = await Promise.all(steps.map((step) => step.ended));
    expect(ended.map(({ result }) => result)).toEqual(
      [1, 2, 3].map((value) => ({ ok: true, value })),
    );
  });

  it("is told where it cannot be made, by the step alone", async () => {
    const rig = new PoolRig();
    const scratch = join(rig.folder, "scratch");
    writeFileSync(scratch, "a file");
    const { result } = await rig.startShell("true").ended;
    expect(result).toMatchObject({
      ok: false,
      outcome: "failed",
      error: { message: expect.stringContaining("its files cannot be written: ENOTDIR") as string },
    });
    const pids = rig.pool.pids();
    rmSync(scratch);
    expect((await rig.startShell("true").ended).result).toMatchObject({ ok: true });
    expect(rig.pool.pids()).toEqual(pids);
  });

  it("is removed by the runner's guard when the runner dies", async () => {
    const rig = new PoolRig();
    const scratch = join(rig.folder, "scratch");
    const step = rig.startShell(`echo begun; exec sleep 3600`, { params: { list: [1] } });
    await step.firstLine;
    expect(readdirSync(scratch)).toHaveLength(1);
    for (const pid of rig.pool.pids()) process.kill(pid, "SIGKILL");
    await step.ended;
    await awaitSight(
      scratch,
      () => (readdirSync(scratch).length === 0 ? true : undefined),
      "the removal of the step's folder",
    );
  });
});

describe("removing what a step left", () => {
  // Root needs no rights, so another user removes.
  it.skipIf(process.getuid?.() !== 0)("opens folders without rights", async () => {
    const { root } = tempRoot();
    const left = join(root, "left");
    mkdirSync(join(left, "a/b"), { recursive: true });
    for (const path of ["a/b", "a", ""]) {
      const folder = join(left, path);
      chownSync(folder, 65534, 65534);
      chmodSync(folder, 0);
    }
    chownSync(root, 65534, 65534);
    process.seteuid!(65534);
    try {
      await removeTrees([left]);
    } finally {
      process.seteuid!(0);
    }
    expect(existsSync(left)).toBe(false);
  });

  it("never throws", async () => {
    await removeTrees(["/proc/1/status", "/nowhere/at/all"]);
    await removeTrees([]);
    expect(existsSync("/proc/1/status")).toBe(true);
  });
});
