/**
 * Ledgers that a test writes as a daemon, a crash, a repair and somebody's hands do, without any of
 * them. Every line that ever stood whole is remembered, and which lines stand now.
 */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { RunStore } from "../../src/ledger/run-store.ts";

/** A line that stood whole, at its place among all lines of all ledgers. */
export interface StoodLine {
  readonly ledger: string;
  readonly pipeline: string;
  readonly nth: number;
}

/** One file: the lines that stand in it, without their line feeds, and what is torn after them. */
interface Written {
  readonly path: string;
  readonly ledger: string;
  readonly pipeline: string;
  lines: string[];
  torn: string;
}

/** A pipeline's files and runs. */
interface WrittenPipeline {
  current: Written | undefined;
  rotated: Written[];
  active: string[];
  ended: string[];
  isAway: boolean;
}

const START_MS = Date.parse("2026-11-28T00:00:00Z");

export class WrittenWorld {
  readonly store: RunStore;
  /** Every line that ever stood whole, by its text. */
  readonly stood = new Map<string, StoodLine>();
  readonly pipelines = new Map<string, WrittenPipeline>();
  readonly #runs = new Map<string, Written>();
  #lines = 0;
  #slots = 0;
  #names = 0;

  constructor(runs: string) {
    mkdirSync(runs, { recursive: true });
    this.store = new RunStore(runs);
  }

  /** How many lines were written. */
  get lines(): number {
    return this.#lines;
  }

  /** A pipeline's ledger, which begins if there is none. */
  pipeline(name: string): WrittenPipeline {
    let known = this.pipelines.get(name);
    if (known === undefined) {
      known = { current: undefined, rotated: [], active: [], ended: [], isAway: false };
      this.pipelines.set(name, known);
    }
    if (known.current === undefined && !known.isAway) {
      known.current = this.#file(this.store.pipelineLedger(name), name, name);
      this.#append(known.current, [
        { type: "pipeline.loaded", format: 1 },
        this.#checkpoint(known),
      ]);
    }
    return known;
  }

  /** The slot's run begins. */
  fire(name: string): void {
    const pipeline = this.pipeline(name);
    if (pipeline.isAway) return;
    const slot = new Date((this.#slots += 1) * 1_000).toISOString();
    const second = slot.slice(11, 19).replaceAll(":", "");
    const run = `${name}@20261128T${second}Z`;
    const ledger = this.#file(this.store.runLedger(run), run, name);
    this.#runs.set(run, ledger);
    this.#append(ledger, [{ type: "run.submitted", run }]);
    this.#append(pipeline.current!, [{ type: "slot.fired", run }]);
    pipeline.active.push(run);
  }

  /** A run writes so many lines at once. */
  step(name: string, count = 1): void {
    const ledger = this.#activeRun(name);
    if (ledger !== undefined) this.#append(ledger, this.#notes(count));
  }

  /** The oldest run ends. */
  end(name: string): void {
    const pipeline = this.pipeline(name);
    const ledger = this.#activeRun(name);
    if (ledger === undefined) return;
    const run = pipeline.active.shift()!;
    pipeline.ended.push(run);
    this.#append(ledger, [{ type: "run.finished", status: "completed" }]);
    this.#append(pipeline.current!, [{ type: "run.finished", run, status: "completed" }]);
  }

  /** The pipeline's ledger gets another name, and a new one begins with what is known. */
  rotate(name: string): void {
    const pipeline = this.pipeline(name);
    const { current } = pipeline;
    if (current === undefined || pipeline.isAway) return;
    this.#mend(current);
    const nth = pipeline.rotated.length + (this.#names += 1);
    const path = join(dirname(current.path), `pipeline-2026-11-28-${nth}.jsonl`);
    linkSync(current.path, path);
    const aside = `${current.path}.new`;
    const next = this.#file(current.path, name, name);
    const text = this.#textOf(next, [{ type: "pipeline.loaded" }, this.#checkpoint(pipeline)]);
    writeFileSync(aside, text);
    renameSync(aside, current.path);
    pipeline.rotated.push({ ...current, path });
    pipeline.current = next;
  }

  /** Bytes in the middle change. The ledger is put aside, and a new one begins. */
  damage(name: string, where: number): void {
    const pipeline = this.pipeline(name);
    const { current } = pipeline;
    if (current === undefined || pipeline.isAway || current.lines.length < 4) return;
    const line = 2 + (where % (current.lines.length - 2));
    this.#scribble(current, line);
    const copy = this.#copyName(current.path);
    renameSync(current.path, copy);
    pipeline.current = this.#file(current.path, name, name);
    this.#append(pipeline.current, [{ type: "pipeline.loaded" }, this.#checkpoint(pipeline)]);
  }

  /** A run's ledger is damaged, and repaired: cut to its good lines, with a copy beside it. */
  repair(name: string, where: number): void {
    const ledger = this.#activeRun(name);
    if (ledger === undefined || ledger.lines.length < 2) return;
    const line = 1 + (where % (ledger.lines.length - 1));
    this.#scribble(ledger, line);
    copyFileSync(ledger.path, this.#copyName(ledger.path));
    this.#cut(ledger, line);
    this.#append(ledger, [{ type: "run.recovered", because: "repaired" }]);
  }

  /** The last lines are gone, and others come in their place: a power cut, or somebody's hands. */
  cutBack(name: string, ofRun: boolean, lines: number): void {
    const pipeline = this.pipeline(name);
    const ledger = ofRun ? this.#activeRun(name) : pipeline.current;
    if (ledger === undefined || pipeline.isAway) return;
    const left = Math.max(ofRun ? 1 : 2, ledger.lines.length - lines);
    this.#cut(ledger, left);
    if (ofRun) this.#append(ledger, this.#notes(1 + (lines % 3)));
    else this.#append(ledger, [this.#checkpoint(pipeline)]);
  }

  /** A write breaks off: whole lines, and a part of one. */
  tear(name: string, ofRun: boolean, whole: number): void {
    const pipeline = this.pipeline(name);
    const ledger = ofRun ? this.#activeRun(name) : pipeline.current;
    if (ledger === undefined || pipeline.isAway) return;
    this.#mend(ledger);
    const before = ledger.lines.length;
    const text = this.#textOf(ledger, this.#notes(whole + 1));
    const torn = ledger.lines.pop()!;
    this.stood.delete(torn);
    ledger.torn = text.slice(0, -1 - Math.ceil(torn.length / 2));
    ledger.torn = ledger.torn.slice(ledger.torn.lastIndexOf("\n") + 1);
    const lines = ledger.lines.slice(before).map((line) => `${line}\n`);
    appendFileSync(ledger.path, lines.join("") + ledger.torn);
    this.#rest.set(ledger, { torn, before });
  }
  readonly #rest = new Map<Written, { readonly torn: string; readonly before: number }>();

  /** The write that broke off is completed. */
  complete(name: string, ofRun: boolean): void {
    const ledger = ofRun ? this.#activeRun(name, false) : this.pipeline(name).current;
    const rest = ledger === undefined ? undefined : this.#rest.get(ledger);
    if (ledger === undefined || rest === undefined || this.pipeline(name).isAway) return;
    appendFileSync(ledger.path, `${rest.torn.slice(ledger.torn.length)}\n`);
    this.#stands(ledger, rest.torn);
    ledger.torn = "";
    this.#rest.delete(ledger);
  }

  /** The write that broke off is cut back whole, and made again. */
  writeAgain(name: string, ofRun: boolean): void {
    const ledger = ofRun ? this.#activeRun(name, false) : this.pipeline(name).current;
    const rest = ledger === undefined ? undefined : this.#rest.get(ledger);
    if (ledger === undefined || rest === undefined || this.pipeline(name).isAway) return;
    const again = ledger.lines.slice(rest.before);
    truncateSync(ledger.path, bytesOf(ledger.lines.slice(0, rest.before)));
    appendFileSync(ledger.path, [...again, rest.torn].map((line) => `${line}\n`).join(""));
    this.#stands(ledger, rest.torn);
    ledger.torn = "";
    this.#rest.delete(ledger);
  }

  /** The oldest rotated file, and the runs that ended, are removed. */
  prune(name: string): void {
    const pipeline = this.pipeline(name);
    if (pipeline.isAway) return;
    const file = pipeline.rotated.shift();
    if (file !== undefined) rmSync(file.path);
    for (const run of pipeline.ended.splice(0)) rmSync(this.#take(run).path);
  }

  /** The ledger is written again, whole, as another file. */
  putBack(name: string): void {
    const { current, isAway } = this.pipeline(name);
    if (current === undefined || isAway) return;
    const aside = `${current.path}.again`;
    copyFileSync(current.path, aside);
    renameSync(aside, current.path);
  }

  /** The pipeline's folder goes away, or comes back. */
  move(name: string): void {
    const pipeline = this.pipeline(name);
    const folder = this.store.pipelineDir(name);
    const away = `${this.store.runsDir}-away-${name}`;
    if (pipeline.isAway) renameSync(away, folder);
    else renameSync(folder, away);
    pipeline.isAway = !pipeline.isAway;
  }

  /** The pipeline is removed for good; another one may get its name. */
  remove(name: string): void {
    const pipeline = this.pipeline(name);
    if (pipeline.isAway) return;
    rmSync(this.store.pipelineDir(name), { recursive: true });
    for (const run of [...pipeline.active, ...pipeline.ended]) this.#runs.delete(run);
    this.pipelines.delete(name);
  }

  /** The whole root goes away, or comes back. */
  moveRoot(): void {
    const away = `${this.store.runsDir}-away`;
    if (existsSync(away)) renameSync(away, this.store.runsDir);
    else renameSync(this.store.runsDir, away);
  }

  get isRootAway(): boolean {
    return !existsSync(this.store.runsDir);
  }

  /** The lines that stand now, with the ledger of each. */
  *standing(): Generator<{ readonly ledger: string; readonly run?: string; readonly raw: string }> {
    for (const { current, rotated, active, ended, isAway } of this.pipelines.values()) {
      if (isAway) continue;
      for (const { ledger, lines } of [...rotated, ...(current === undefined ? [] : [current])])
        for (const raw of lines) yield { ledger, raw };
      for (const run of [...active, ...ended])
        for (const raw of this.#runs.get(run)!.lines) yield { ledger: run, run, raw };
    }
  }

  isActive(run: string): boolean {
    for (const { active } of this.pipelines.values()) if (active.includes(run)) return true;
    return false;
  }

  #checkpoint({ active }: Pick<WrittenPipeline, "active">): object {
    return { type: "pipeline.checkpoint", active: [...active] };
  }

  #notes(count: number): object[] {
    return Array.from({ length: count }, () => ({ type: "step.started" }));
  }

  #activeRun(name: string, whole = true): Written | undefined {
    const { active, isAway } = this.pipeline(name);
    const run = active[0];
    const ledger = run === undefined || isAway ? undefined : this.#runs.get(run);
    if (ledger !== undefined && whole) this.#mend(ledger);
    return ledger;
  }

  #take(run: string): Written {
    const ledger = this.#runs.get(run)!;
    this.#runs.delete(run);
    return ledger;
  }

  #file(path: string, ledger: string, pipeline: string): Written {
    mkdirSync(dirname(path), { recursive: true });
    return { path, ledger, pipeline, lines: [], torn: "" };
  }

  /** What recovery does before it appends: a torn tail is cut. */
  #mend(ledger: Written): void {
    if (ledger.torn === "") return;
    truncateSync(ledger.path, bytesOf(ledger.lines));
    ledger.torn = "";
    this.#rest.delete(ledger);
  }

  #cut(ledger: Written, lines: number): void {
    ledger.lines = ledger.lines.slice(0, lines);
    ledger.torn = "";
    this.#rest.delete(ledger);
    truncateSync(ledger.path, bytesOf(ledger.lines));
  }

  /** Bytes of one line change, its length stays. @param line from 0 */
  #scribble(ledger: Written, line: number): void {
    const bytes = readFileSync(ledger.path);
    const at = bytesOf(ledger.lines.slice(0, line)) + 12;
    bytes.fill("#", at, at + 5);
    writeFileSync(ledger.path, bytes);
  }

  #append(ledger: Written, events: readonly object[]): void {
    this.#mend(ledger);
    appendFileSync(ledger.path, this.#textOf(ledger, events));
  }

  /** The text of one write; its lines stand from now on. */
  #textOf(ledger: Written, events: readonly object[]): string {
    const b = ledger.lines.length + 1;
    let crc = Number.parseInt(ledger.lines.at(-1)?.slice(-10, -2) ?? "0", 16);
    let text = "";
    for (const event of events) {
      const seq = ledger.lines.length + 1;
      const at = new Date(START_MS + this.#lines + 1).toISOString();
      const body = JSON.stringify({ seq, b, at, ...event, n: this.#lines }).slice(0, -1);
      crc = crc32(body, crc);
      const line = `${body},"crc":"${crc.toString(16).padStart(8, "0")}"}`;
      this.#stands(ledger, line);
      text += `${line}\n`;
    }
    return text;
  }

  #stands(ledger: Written, line: string): void {
    ledger.lines.push(line);
    const { ledger: of, pipeline } = ledger;
    this.stood.set(line, { ledger: of, pipeline, nth: (this.#lines += 1) });
  }

  #copyName(path: string): string {
    for (let n = 1; ; n += 1) {
      const copy = `${path}.damaged-${n}`;
      if (statSync(copy, { throwIfNoEntry: false }) === undefined) return copy;
    }
  }
}

function bytesOf(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
}
