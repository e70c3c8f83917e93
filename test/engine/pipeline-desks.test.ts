/** Desks over real ledgers: one for each pipeline, whoever asks, and none where a path is bad. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import type { DeskPorts } from "../../src/engine/pipeline-desk.ts";
import { PipelineDesks, type PipelineDesksPorts } from "../../src/engine/pipeline-desks.ts";
import { silentLog } from "../../src/log.ts";
import { LedgerBlocked } from "../../src/ledger/ledger-error.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { diskError, faultyDisk } from "../disk/faulty-disk.ts";
import { tempRoot } from "../support/temp-root.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

function given(more: Partial<PipelineDesksPorts> = {}) {
  const store = new RunStore(tempRoot().runs);
  const clock = new VirtualClock();
  const blocked = new Map<string, Error>();
  const errors: string[] = [];
  const log = { ...silentLog, error: (_: object, text: string) => void errors.push(text) };
  const desks = new PipelineDesks({
    clock,
    onFatal: (error) => {
      throw error;
    },
    desk: { clock, log, store } as unknown as DeskPorts,
    watch: {
      unopened: (name) => blocked.get(name),
      cannotOpen: (name, error) => void blocked.set(name, error),
      held: () => undefined,
    },
    onDisturbed: () => undefined,
    ...more,
  });
  return { clock, store, desks, blocked, errors };
}

/** A ledger as a daemon leaves it. */
async function ledgerOf({ desks }: ReturnType<typeof given>, name: string): Promise<void> {
  const desk = await desks.open(name);
  await desk.append([{ type: "pipeline.removed" }]);
}

test("all who ask for a pipeline get the same desk, also while its ledger is opened", async () => {
  const { desks } = given();
  const [one, other] = await Promise.all([desks.open("p"), desks.open("p")]);
  expect(one).toBe(other);
  expect(await desks.open("p")).toBe(one);
  expect([desks.known("p"), desks.known("q")]).toEqual([one, undefined]);
  expect([[...desks.names()], [...desks.all()]]).toEqual([["p"], [one]]);
  await desks.close();
});

test("many ledgers are opened, but those whose path is bad", async () => {
  const there = given();
  const { store, desks, blocked } = there;
  for (let n = 0; n < 40; n += 1) await ledgerOf(there, `p${n}`);
  mkdirSync(store.pipelineLedger("bad"), { recursive: true });
  await desks.close();
  const again = given();
  const second = new RunStore(store.runsDir);
  const more = new PipelineDesks({
    clock: new VirtualClock(),
    onFatal: (error) => {
      throw error;
    },
    desk: { clock: new VirtualClock(), log: silentLog, store: second } as unknown as DeskPorts,
    watch: {
      unopened: (name) => again.blocked.get(name),
      cannotOpen: (name, error) => void again.blocked.set(name, error),
      held: () => undefined,
    },
    onDisturbed: () => undefined,
  });
  await more.openAll(second.pipelines());
  expect([...more.names()]).toHaveLength(40);
  expect([blocked.size, [...again.blocked.keys()]]).toEqual([0, ["bad"]]);
  // Who asks later gets the same error, and the ledger is not tried again.
  await expect(more.open("bad")).rejects.toBe(again.blocked.get("bad"));
  await expect(more.open("bad")).rejects.toBeInstanceOf(LedgerBlocked);
  await more.close();
});

test("that there is no room is told, and that there is again", async () => {
  const disk = faultyDisk();
  const told: boolean[] = [];
  const { desks, clock } = given({ disk, onHeld: (held) => void told.push(held) });
  const desk = await desks.open("p");
  await desk.append([{ type: "pipeline.removed" }]);
  disk.before = (call) => (call === "write" ? diskError("ENOSPC") : undefined);
  const written = desk.append([{ type: "pipeline.removed" }]);
  await clock.until(() => told.length > 0);
  expect(told).toEqual([true]);
  disk.before = () => undefined;
  await clock.advance(1_000);
  await written;
  expect(told).toEqual([true, false]);
  await desks.close();
});

test("a damaged ledger is told, and a new one begins", async () => {
  const { store, desks, errors } = given();
  const path = store.pipelineLedger("p");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "no line\n");
  await desks.open("p");
  expect(errors).toEqual([
    expect.stringContaining("the ledger of pipeline p was damaged at line 1"),
  ]);
  await desks.close();
});

test("what is written to a pipeline without a desk is dropped", async () => {
  const { desks } = given();
  const written: string[] = [];
  const note = ({ name }: { name: string }): Promise<unknown> =>
    Promise.resolve(written.push(name));
  await desks.written("p", note);
  await desks.open("p");
  await desks.written("p", note);
  expect([written, desks.inForce]).toEqual([["p"], 0]);
  await desks.close();
});
