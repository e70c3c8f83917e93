/**
 * Promise 13 in bare processes: two to four of them race for the lock, round after round, while all
 * that can happen to the holder and to its files is done to them. The process that has the lock
 * writes to one ledger. This must hold: the ledger is whole, and the lines of each writer stand
 * together, so nobody wrote after another had begun.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { beforeAll, expect, it } from "vitest";
import { awaitSight, linesOf } from "../support/await-event.ts";
import { fakeTimeLibrary } from "../support/fake-time.ts";
import { reached, trials } from "../support/figures.ts";
import { readWholeLedger } from "../support/independent-ledger.ts";
import { endedWithTest } from "../support/process-end.ts";
import { buildProgram } from "../support/program.ts";
import { tempRoot } from "../support/temp-root.ts";

const AT_ONCE = 3;
let program: string;
beforeAll(async () => {
  program = await buildProgram("lock-contender");
});

interface Contender {
  readonly who: string;
  readonly child: ChildProcess;
  /** What it said first: `held` or `refused`. */
  readonly answer: Promise<string>;
  /** Whether it wrote a line. */
  readonly acted: Promise<boolean>;
  readonly ended: Promise<unknown>;
}

/** One round: a runs folder, and the processes that want its lock. */
class Round {
  readonly #runs: string;
  readonly #planted: readonly string[];
  readonly #all: Contender[] = [];

  constructor(runs: string, planted: readonly string[]) {
    this.#runs = runs;
    this.#planted = planted;
  }

  /**
   * Starts `count` processes at once, the last with a clock that is 11 s ahead. Gives those that
   * got the lock and acted.
   */
  async compete(count: number): Promise<Contender[]> {
    const all = Array.from({ length: count }, (_, index) =>
      this.#start(index > 0 && index === count - 1),
    );
    const answers = await Promise.all(all.map(({ answer }) => answer));
    for (const answer of answers) expect(["held", "refused"]).toContain(answer);
    const acted = await Promise.all(all.map((one) => one.acted));
    return all.filter((_, index) => acted[index]);
  }

  #start(ahead: boolean): Contender {
    const who = `w${this.#all.length + 1}`;
    const env = {
      PATH: process.env["PATH"] ?? "",
      ...(ahead && fakeTimeLibrary !== undefined
        ? { LD_PRELOAD: fakeTimeLibrary, FAKETIME: "+11s" }
        : {}),
    };
    const child = endedWithTest(
      spawn(process.execPath, [program, this.#runs, who, ...this.#planted], {
        env,
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
    const words = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => String((await words.next()).value);
    const answer = next();
    const wrote = async (): Promise<boolean> => {
      await answer;
      return (await next()) === "acted";
    };
    const contender = { who, child, answer, acted: wrote(), ended: once(child, "exit") };
    this.#all.push(contender);
    return contender;
  }

  remove(...names: readonly string[]): void {
    for (const name of names)
      rmSync(join(this.#runs, ".orchd", name), { recursive: true, force: true });
  }

  /** Waits for one more line by a process that is writing. */
  async goesOn({ who }: Contender): Promise<void> {
    const path = join(this.#runs, "ledger.jsonl");
    const count = (): number => linesOf(path).filter((line) => line["who"] === who).length;
    const before = count();
    await awaitSight(
      this.#runs,
      () => (count() > before ? true : undefined),
      `another line by ${who}`,
    );
  }

  async kill(): Promise<void> {
    for (const { child } of this.#all) child.kill("SIGKILL");
    await Promise.all(this.#all.map(({ ended }) => ended));
  }

  /**
   * The writers, in the order of the ledger. One that wrote again after another is named twice.
   */
  writers(): string[] {
    const writers: string[] = [];
    for (const line of readWholeLedger(join(this.#runs, "ledger.jsonl")))
      if (writers.at(-1) !== line["who"]) writers.push(String(line["who"]));
    return writers;
  }
}

/** Removes files while the holder is stopped. Nobody else acts before the holder has ended. */
async function robbed(
  round: Round,
  holder: Contender,
  rivals: number,
  ...names: readonly string[]
): Promise<Contender[]> {
  holder.child.kill("SIGSTOP");
  round.remove(...names);
  const others = await round.compete(rivals);
  holder.child.kill("SIGCONT");
  await holder.ended;
  return [holder, ...others, ...(await round.compete(rivals))];
}

/**
 * What is done to the process that holds the lock. Each gives the processes that must have written,
 * in this order.
 */
const FAULTS: Record<
  string,
  (round: Round, holder: Contender, rivals: number) => Promise<Contender[]>
> = {
  "is killed": async (round, holder, rivals) => {
    holder.child.kill("SIGKILL");
    await holder.ended;
    return [holder, ...(await round.compete(rivals))];
  },
  "is stopped for a while": async (round, holder, rivals) => {
    holder.child.kill("SIGSTOP");
    const others = await round.compete(rivals);
    holder.child.kill("SIGCONT");
    await round.goesOn(holder);
    return [holder, ...others];
  },
  "is stopped, and its lock file removed": (round, holder, rivals) =>
    robbed(round, holder, rivals, "daemon.lock"),
  "has its lock file removed": async (round, holder, rivals) => {
    round.remove("daemon.lock");
    const others = await round.compete(rivals);
    await holder.ended;
    if (others.length > 0) return [holder, ...others];
    return [holder, ...(await round.compete(rivals))];
  },
  "has its epoch removed": async (round, holder, rivals) => {
    round.remove("epoch");
    const others = await round.compete(rivals);
    await round.goesOn(holder);
    return [holder, ...others];
  },
  "is stopped, and both removed": (round, holder, rivals) =>
    robbed(round, holder, rivals, "daemon.lock", "epoch"),
};

/** A folder in memory, where there is one: the race is for the lock, not for the disk. */
function memoryFolder(): string {
  return existsSync("/dev/shm") ? mkdtempSync("/dev/shm/orchd-lock-race-") : tempRoot().runs;
}

/** Plays one round, and gives what is wrong; undefined: nothing. */
async function play(
  number: number,
  name: string,
  ...planted: string[]
): Promise<string | undefined> {
  const runs = memoryFolder();
  const round = new Round(runs, planted);
  const count = 2 + (number % 3);
  try {
    const holders = await round.compete(count);
    if (holders.length !== 1) return `${holders.length} of ${count} held the lock at once`;
    const expected = await FAULTS[name]!(round, holders[0]!, count - 1);
    await round.kill();
    const writers = round.writers();
    const wanted = expected.map(({ who }) => who);
    return writers.join() === wanted.join()
      ? undefined
      : `when the holder ${name}: ${writers.join(", ")} wrote, and not ${wanted.join(", ")}`;
  } catch (error) {
    return `when the holder ${name}: ${(error as Error).message}`;
  } finally {
    await round.kill();
    rmSync(runs, { recursive: true, force: true });
  }
}

it(
  "one process writes, whatever happens to it and to its files",
  { timeout: 3_600_000 },
  async () => {
    const rounds = trials(6, 1_000);
    const names = Object.keys(FAULTS);
    const wrong: string[] = [];
    let next = 0;
    const lane = async (): Promise<void> => {
      for (let number = next++; number < rounds; number = next++) {
        const fault = await play(number, names[number % names.length]!);
        if (fault !== undefined) wrong.push(`round ${number}: ${fault}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane));
    reached(
      13,
      "rounds of two to four processes of which one wrote",
      rounds - wrong.length,
      rounds,
    );
    expect(wrong).toEqual([]);
  },
);

it(
  "two writers are seen where nobody asks for the lock or the ledger is open to others",
  { timeout: 120_000 },
  async () => {
    expect(await play(0, "is killed", "no-lock", "open-ledger")).toMatch(
      /held the lock at once|ended/,
    );
    expect(await play(0, "is stopped, and both removed", "open-ledger")).toMatch(
      / wrote, and not | says /,
    );
  },
);
