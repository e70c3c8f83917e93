/** The place for steps in containers, as tests open it: a real engine, a root of its own. */
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { systemClock, type Clock } from "../../src/clock.ts";
import type { ImageContainer } from "../../src/core/container.ts";
import type { ContainerSettings } from "../../src/core/settings.ts";
import type { OutputLine, ShellTask, Task, TaskResult } from "../../src/core/task.ts";
import { silentLog } from "../../src/log.ts";
import { ContainerPlace } from "../../src/places/container/container-place.ts";
import type { DeathInfo, TaskHandlers } from "../../src/places/place.ts";
import { plainShell } from "./plain-shell.ts";
import { onTestFinished } from "./running-test.ts";
import { tempRoot } from "./temp-root.ts";
import { TEST_IMAGE, type TestEngine } from "./test-engine.ts";

/** A container of {@link TEST_IMAGE} with nothing else asked for. */
export const PLAIN_CONTAINER: ImageContainer = {
  image: TEST_IMAGE,
  pull: "never",
  volumes: [],
  network: "none",
  keep: "never",
  options: [],
};

/** A shell step in {@link PLAIN_CONTAINER}. */
export function containerShell(text: string, more: Partial<ShellTask> = {}): ShellTask {
  return plainShell(text, { container: PLAIN_CONTAINER, ...more });
}

/** How a task ended, and the lines that were heard of it. */
export interface HeardEnd {
  /** Undefined: it died. */
  readonly result?: TaskResult;
  readonly death?: DeathInfo;
  readonly lines: readonly OutputLine[];
}

/** Who hears of a task. */
export interface Hearing {
  readonly handlers: TaskHandlers;
  /** Resolves with its first line. */
  readonly begun: Promise<void>;
  readonly ended: Promise<HeardEnd>;
}

/** Hears of one task. */
export function hearing(): Hearing {
  const lines: OutputLine[] = [];
  let first!: () => void;
  let end!: (end: HeardEnd) => void;
  const begun = new Promise<void>((resolve) => (first = resolve));
  const ended = new Promise<HeardEnd>((resolve) => (end = resolve));
  const handlers: TaskHandlers = {
    done: (result) => end({ result, lines }),
    died: (death) => end({ death, lines }),
    output(more) {
      lines.push(...more);
      first();
    },
  };
  return { handlers, begun, ended };
}

/** Starts a task, and hears of it. */
export function begin(place: ContainerPlace, id: string, task: Task): Hearing {
  const heard = hearing();
  place.start(id, task, heard.handlers);
  return heard;
}

/** A place, and its root. Bundles of module steps are in `bundles/` below it. */
export interface OpenedContainers {
  readonly place: ContainerPlace;
  readonly root: string;
}

let count = 0;

/** A folder for a place. */
export function containersRoot(): string {
  const root = realpathSync(tempRoot().root);
  for (const folder of ["runs", "bundles"]) mkdirSync(join(root, folder), { recursive: true });
  return root;
}

/** Opens a place, as a daemon does. Nobody closes it. */
export function openContainersAt(
  root: string,
  settings: ContainerSettings,
  clock: Clock = systemClock,
): ContainerPlace {
  count += 1;
  return new ContainerPlace({
    clock,
    log: silentLog,
    settings,
    root,
    folder: join(root, "containers"),
    runner: { bundles: join(root, "bundles"), token: `test-${process.pid}-${count}` },
  });
}

/** Opens a place that is closed with the test, and its containers are removed. */
export function openContainers(
  engine: TestEngine,
  atOnce: number,
  root = containersRoot(),
  clock: Clock = systemClock,
): OpenedContainers {
  const place = openContainersAt(root, { engine: engine.name, atOnce }, clock);
  onTestFinished(async () => {
    await place.close();
    engine.remove(...engine.containersOf(root));
  });
  return { place, root };
}
