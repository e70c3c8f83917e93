/** A notify.jsonl that is made up: something of every state, as `orchd notify` would write it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Alert } from "../../src/core/alert.ts";
import type { NotifyOutcome } from "../../src/core/notify-fold.ts";
import {
  emptyNotifyState,
  packNotifyState,
  type Firing,
  type NotifyState,
} from "../../src/core/notify-state.ts";
import { NotifyLedger } from "../../src/ledger/notify-ledger.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { at, idOf, madeUpRoot } from "./made-up-root.ts";
import type { TempRoot } from "./temp-root.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** orchd.yaml with the channels that the ledger knows, and one that was never used. */
export const ALERT_SETTINGS = [
  "notify:",
  "  channels:",
  "    ops: { kind: mail, to: [ops@example.org], smtp: { host: localhost } }",
  "    chat: { kind: slack, url: { secret: SLACK } }",
  "    idle: { kind: webhook, url: http://127.0.0.1:9/x }",
  "  rules: [{ to: [ops, chat] }]",
  "",
].join("\n");

/** An alert of `etl`; the nth has a key of its own. */
export function alertOf(nth: number, more: Partial<Alert> = {}): Alert {
  return {
    key: nth.toString(16).padStart(32, "0"),
    kind: "failed",
    channel: "ops",
    pipeline: "etl",
    run: idOf("etl", 2),
    status: "failed",
    because: 'step "load" failed',
    at: at(2, 2),
    count: 1,
    telling: 1,
    ...more,
  };
}

/** Something that holds. */
export function firingOf(more: Partial<Firing> = {}): Firing {
  return {
    kind: "failed",
    since: at(2, 2),
    cause: "etl/pipeline.jsonl:5",
    count: 1,
    at: at(2, 2),
    because: 'step "load" failed',
    run: idOf("etl", 2),
    told: { ops: { telling: 1, at: Date.parse(at(2, 3)) } },
    ...more,
  };
}

/** Alerts of every state. */
export function alertState(): NotifyState {
  const state = emptyNotifyState();
  state.pipelines.set("etl", {
    firing: new Map([
      ["failed", firingOf({ count: 3 })],
      ["missed", firingOf({ kind: "missed", since: at(8, 30), told: {}, untold: "quiet" })],
    ]),
    waits: new Map(),
  });
  const broken = { kind: "channel_broken", because: "no answer", told: {} } as const;
  state.daemon.set("channel_broken@chat", firingOf({ ...broken, since: at(7), untold: "no_rule" }));
  return state;
}

/** What is written beside the state: each message, and what became of it. */
export type Told = readonly [alert: Alert, ...outcomes: NotifyOutcome[]];

/** One message that was sent, one that waits for its next try, one that was given up. */
export const TOLD: readonly Told[] = [
  [alertOf(1), { how: "sent", attempt: 1, answer: "250 ok" }],
  [
    alertOf(2, { channel: "chat", kind: "missed", count: 3, because: "no daemon was up" }),
    { how: "failed", attempt: 1, because: "503 of the receiver", retryAt: at(9) },
    { how: "failed", attempt: 2, because: "no answer within 30s", retryAt: at(11) },
  ],
  [alertOf(3, { channel: "chat" }), { how: "gave_up", because: "404: there is no such hook" }],
];

/** Writes the ledger, and orchd.yaml. */
export async function writeAlerts(
  root: TempRoot,
  told: readonly Told[] = TOLD,
  state: NotifyState = alertState(),
  rotateBytes?: number,
): Promise<void> {
  writeFileSync(join(root.root, "orchd.yaml"), ALERT_SETTINGS);
  const store = new RunStore(root.runs);
  mkdirSync(store.orchdDir, { recursive: true });
  const clock = new VirtualClock({ start: at(9, 30) });
  const ledger = await NotifyLedger.open(store, {
    clock,
    rotateBytes,
    onFatal: (error) => {
      throw error;
    },
  });
  for (const [alert, ...outcomes] of told) {
    await ledger.decided([alert], { position: "p", state: packNotifyState(state) });
    for (const outcome of outcomes) await ledger.tried(alert, outcome);
    clock.step(1_000);
  }
  await ledger.close();
}

/** The made-up root, with alerts, and with `etl` silent. */
export async function rootWithAlerts(
  told?: readonly Told[],
  state?: NotifyState,
): Promise<TempRoot> {
  const root = madeUpRoot([
    {
      type: "pipeline.silenced",
      at: at(9, 31),
      until: at(12),
      because: "we know",
      by: "alice",
    },
  ]);
  await writeAlerts(root, told, state);
  return root;
}
