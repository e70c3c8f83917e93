/**
 * What each place that runs shell steps must do with them, whatever it runs them in.
 *
 * What a place cannot do it declares, and then the suite holds it to that.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Lane } from "../../../src/core/lane.ts";
import type { OutputLine, ShellTask, TaskResult } from "../../../src/core/task.ts";
import { attemptTraceparent } from "../../../src/core/trace-span.ts";
import type { Place, TaskHandlers } from "../../../src/places/place.ts";
import { plainShell } from "../../support/plain-shell.ts";
import { shared } from "../../support/shared-subject.ts";

/** A place for one test. */
export interface ShellPlaceUnderTest {
  readonly place: Place;
  /** What each of its tasks has more. */
  readonly more?: Partial<ShellTask>;
}

/** What a place declares. */
export interface Declared {
  readonly lane: Lane;
  /** A signal reaches what the shell started, and not the shell alone. */
  readonly signalsAll: boolean;
  /** A status of 128 and a signal's number is told as that signal. */
  readonly signalIsStatus: boolean;
  /** It gives files: values that are no scalars, `$ORCHD_OUTPUT`, long texts. Default: true. */
  readonly files?: boolean;
  /**
   * Its cases share one place (test/support/shared-subject.ts). Default: each has its own.
   */
  readonly isShared?: boolean;
}

interface Heard {
  readonly result: TaskResult;
  readonly durationMs: number;
  readonly lines: readonly OutputLine[];
}

/** Holds a place to all of it. */
export function describeShells(
  name: string,
  { lane, signalsAll, signalIsStatus, files = true, isShared = false }: Declared,
  openNow: () => ShellPlaceUnderTest | Promise<ShellPlaceUnderTest>,
): void {
  let ids = 1;
  const output = files ? "$ORCHD_OUTPUT" : "/dev/null";
  const written = <T>(value: T): T | null => (files ? value : null);

  /** @param id default: one that no task had before */
  function begin(
    { place, more }: ShellPlaceUnderTest,
    text: string,
    own: Partial<ShellTask> = {},
    id = `suite@1#${(ids += 1)}`,
  ): { readonly id: string; readonly begun: Promise<void>; readonly heard: Promise<Heard> } {
    const lines: OutputLine[] = [];
    let begun!: () => void;
    const first = new Promise<void>((resolve) => (begun = resolve));
    const heard = new Promise<Heard>((resolve, reject) => {
      let over = false;
      const handlers: TaskHandlers = {
        done(result, durationMs) {
          if (over) reject(new Error(`${id} ended twice`));
          over = true;
          setTimeout(() => resolve({ result, durationMs, lines }), 20);
        },
        output(given) {
          if (over) reject(new Error(`${id} printed after its end`));
          lines.push(...given);
          begun();
        },
        died: (death) => reject(new Error(death.because)),
      };
      place.start(id, plainShell(text, { ...more, ...own }), handlers);
    });
    return { id, begun: first, heard };
  }

  const run = (subject: ShellPlaceUnderTest, text: string, own?: Partial<ShellTask>) =>
    begin(subject, text, own).heard;
  const said = ({ lines }: Heard, stream: OutputLine["stream"] = "stdout"): string[] =>
    lines.filter((line) => line.stream === stream).map(({ line }) => line);

  describe(`the shells of ${name}`, () => {
    const open = isShared ? shared(openNow) : openNow;

    it.runIf(files)("give back what they wrote, and are given params and inputs", async () => {
      const text =
        'echo "$ORCHD_PARAM_word $ORCHD_INPUT_n"; cat "$ORCHD_PARAMS"; echo\n' +
        'head -c 6 "$ORCHD_INPUTS"\n' +
        'echo; cat "$ORCHD_INPUT_long" | wc -c; echo "[1,null]" > "$ORCHD_OUTPUT"';
      const heard = await run(await open(), text, {
        params: { word: "hello" },
        inputs: { n: 7, long: "x".repeat(100_000) },
      });
      expect(heard.result).toEqual({ ok: true, value: [1, null] });
      const [first, params, inputs, size] = said(heard);
      expect([first, params]).toEqual(["hello 7", '{"word":"hello"}']);
      expect(inputs).toBe('{"n":7');
      expect(Number(size)).toBe(100_002);
      expect(new Set(heard.lines.map(({ step, attempt }) => `${step} ${attempt}`))).toEqual(
        new Set(["it 2"]),
      );
    });

    it("fail with their status and last words; a result that is no JSON is refused", async () => {
      const subject = await open();
      expect((await run(subject, "echo gone wrong >&2; exit 3")).result).toMatchObject({
        ok: false,
        outcome: "failed",
        error: {
          name: "ExitError",
          message: "the command ended with status 3: gone wrong",
          code: "ORCHD_EXIT_STATUS",
          exitStatus: 3,
        },
      });
      if (!files) return;
      const text = "echo '{' > $ORCHD_OUTPUT";
      expect((await run(subject, text)).result).toMatchObject({
        ok: false,
        error: { code: "ORCHD_BAD_OUTPUT" },
      });
    });

    it("tell a signal from a status, as far as can be", async () => {
      const subject = await open();
      expect((await run(subject, "kill -9 $$")).result).toMatchObject({
        error: { code: "ORCHD_SIGNAL" },
      });
      expect((await run(subject, "exit 137")).result).toMatchObject({
        error: { code: signalIsStatus ? "ORCHD_SIGNAL" : "ORCHD_EXIT_STATUS", exitStatus: 137 },
      });
      expect((await run(subject, "exit 125")).result).toMatchObject({
        error: { code: "ORCHD_EXIT_STATUS", exitStatus: 125 },
      });
    });

    it("have all their lines in order, and no secret among them", async () => {
      const text =
        'i=0; while [ $i -lt 2000 ]; do echo "line $i $WORD"; i=$((i+1)); done; echo "$WORD" >&2';
      const heard = await run(await open(), text, {
        env: { WORD: "hush-hush" },
        secrets: ["hush-hush"],
      });
      const lines = said(heard);
      expect(lines).toHaveLength(2000);
      expect(lines.every((line, index) => line.startsWith(`line ${index} `))).toBe(true);
      expect(JSON.stringify(heard.lines)).not.toContain("hush-hush");
    });

    it("get each variable as it is, whatever is in it", async () => {
      const env = { A: "two\nlines", B: "", C: ` '"$x\\ `, PATH: "/bin:/usr/bin" };
      const whole = `${env.A}|${env.B}|${env.C}|${env.PATH}`;
      const heard = await run(await open(), `printf '%s' "$A|$B|$C|$PATH" | wc -c`, { env });
      expect(Number(said(heard)[0])).toBe(whole.length);
    });

    it("are given the trace of their attempt, but where their own `env` has one", async () => {
      const subject = await open();
      const trace = "5eed".repeat(16);
      const text = 'echo "$TRACEPARENT"';
      const { id, heard } = begin(subject, text, { trace });
      const attempt = Number(id.slice(id.indexOf("#") + 1));
      expect(said(await heard)).toEqual([attemptTraceparent(trace, attempt)]);
      const own = { trace, env: { TRACEPARENT: "mine" } };
      expect(said(await run(subject, text, own))).toEqual(["mine"]);
    });

    it("keep 8 MiB of their output, and go on", async () => {
      const text = `yes 0123456789 | head -c 30000000; echo '1' > ${output}`;
      const heard = await run(await open(), text);
      expect(heard.result).toEqual({ ok: true, value: written(1) });
      const last = said(heard, "orchd").at(-1);
      expect(last).toMatch(/^\[orchd: the output is longer than 8 MiB; \d+ bytes after that/);
    });

    it.runIf(files)("are given a text that is longer than an argument may be", async () => {
      const heard = await run(await open(), `# ${"x".repeat(150_000)}\necho whole`);
      expect(said(heard)).toEqual(["whole"]);
    });

    it("end at their time limit", async () => {
      const heard = await run(await open(), "trap '' TERM; echo begun; sleep 60; sleep 60", {
        timeoutMs: 400,
      });
      expect(heard.result).toMatchObject({
        ok: false,
        outcome: "timeout",
        error: { code: "ORCHD_STEP_TIMEOUT" },
      });
    });

    it("were too late where they end well after their time limit", async () => {
      const wait = signalsAll ? "for i in 1 2 3 4 5 6; do sleep 10; done" : "sleep 60 & wait";
      const heard = await run(await open(), `trap 'exit 0' TERM; echo begun; ${wait}`, {
        timeoutMs: 400,
      });
      expect(heard.result).toMatchObject({ ok: false, outcome: "timeout" });
    });

    it("hear a graceful stop, and have their result if they end well", async () => {
      const subject = await open();
      // A signal that comes between the fork and the program of a `sleep` is lost to that one.
      const wait = signalsAll ? "for i in 1 2 3 4 5 6; do sleep 10; done" : "sleep 60 & wait";
      const text = `trap 'echo heard; echo 5 > ${output}; exit 0' TERM; echo begun; ${wait}`;
      const task = begin(subject, text);
      await task.begun;
      subject.place.stop(task.id, "graceful", "a person asked");
      expect((await task.heard).result).toEqual({ ok: true, value: written(5) });
    });

    it("are ended by force, and leave the others alone", async () => {
      const subject = await open();
      const deaf = begin(subject, "trap '' TERM; echo begun; sleep 60; sleep 60");
      const other = begin(subject, `echo begun; sleep 3; echo '2' > ${output}`);
      await Promise.all([deaf.begun, other.begun]);
      subject.place.stop(deaf.id, "force", "a person asked");
      expect((await deaf.heard).result).toMatchObject({
        ok: false,
        outcome: "stopped",
        error: { message: "a person asked" },
      });
      expect((await other.heard).result).toEqual({ ok: true, value: written(2) });
    });

    it.runIf(files)("give a large result as files", async () => {
      const body = "head -c 100000 /dev/zero | tr '\\0' x";
      const text = `{ printf '"'; ${body}; printf '"'; } > $ORCHD_OUTPUT`;
      const artifacts = mkdtempSync(join(tmpdir(), "orchd-artifacts-"));
      const { result } = await run(await open(), text, { artifacts });
      expect(result).toMatchObject({ ok: true, staged: { files: [expect.anything()] } });
    });

    it("are refused under an id that is in use, and take room while they run", async () => {
      const subject = await openNow();
      const before = subject.place.capacity()[lane]!;
      const task = begin(subject, "echo begun; sleep 60");
      await task.begun;
      expect(subject.place.capacity()[lane]).toBe(before - 1);
      await expect(begin(subject, "true", {}, task.id).heard).rejects.toThrow(task.id);
      subject.place.stop(task.id, "force", "enough");
      await task.heard;
      expect(subject.place.capacity()[lane]).toBe(before);
    });
  });
}
