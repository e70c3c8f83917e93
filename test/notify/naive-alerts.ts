/**
 * What people are told, once more and as simply as can be: for each pipeline, kind and channel a
 * little machine of its own, and no groups, no quiet hours, no limits and no bounds. The fold of
 * src/notify has to tell the same.
 */
import { resolvePipelineNotify, type NotifyRule } from "../../src/core/notify-settings.ts";

/** Something that happens. */
export type Happening =
  | { readonly what: "tick" }
  | {
      readonly what: "line";
      readonly pipeline: string;
      readonly type: string;
      readonly members: Readonly<Record<string, unknown>>;
    };

/** A message, in words: `failed|of|pipeline|channel|cause line|telling`. */
export type Told = string;

interface Machine {
  streak: number;
  first: string;
  told: number;
  toldAt: number;
  over: string | undefined;
}

interface Known {
  tags: readonly string[];
  notify: unknown;
  paused: boolean;
  silentUntil: number;
  overdue: Set<string>;
  machines: Map<string, Machine>;
}

const KINDS = ["failed", "invalid", "overdue"] as const;
const COUNTED = new Set(["failed"]);

/** Tells the same as the fold, where rules have no `group` and no quiet hours. */
export class NaiveAlerts {
  readonly #rules: readonly NotifyRule[];
  readonly #channels: readonly string[];
  readonly #pipelines = new Map<string, Known>();
  readonly #lines = new Map<string, number>();
  readonly told: Told[] = [];

  constructor(rules: readonly NotifyRule[], channels: readonly string[]) {
    this.#rules = rules;
    this.#channels = channels;
  }

  /** Takes in what happens at a time. */
  take(happening: Happening, now: number): void {
    if (happening.what === "tick") {
      for (const name of this.#pipelines.keys()) this.#look(name, now, true);
      return;
    }
    const { pipeline: name, type, members } = happening;
    const seq = (this.#lines.get(name) ?? 0) + 1;
    this.#lines.set(name, seq);
    const cause = `${name}/pipeline.jsonl:${seq}`;
    if (type === "pipeline.removed") {
      const { paused, silentUntil } = this.#known(name);
      this.#pipelines.delete(name);
      Object.assign(this.#known(name), { paused, silentUntil });
      return;
    }
    const known = this.#known(name);
    const run = String(members["run"]);
    switch (type) {
      case "pipeline.loaded":
        known.tags = (members["tags"] as string[] | undefined) ?? [];
        known.notify = members["notify"];
        this.#over(name, "invalid", cause, now);
        break;
      case "pipeline.invalid":
        this.#cause(name, "invalid", cause, now);
        break;
      case "pipeline.paused":
        known.paused = true;
        break;
      case "pipeline.resumed":
        known.paused = false;
        break;
      case "pipeline.silenced":
        known.silentUntil = Date.parse(String(members["until"])) || 0;
        break;
      case "run.overdue":
        this.#cause(name, "overdue", cause, now);
        known.overdue.add(run);
        break;
      case "run.finished":
        if (known.overdue.delete(run) && known.overdue.size === 0)
          this.#over(name, "overdue", cause, now);
        if (members["status"] === "failed") this.#cause(name, "failed", cause, now);
        if (["completed", "cached"].includes(String(members["status"])))
          this.#over(name, "failed", cause, now);
        break;
      default:
        break;
    }
    if (type.startsWith("pipeline.") && type !== "pipeline.invalid") this.#look(name, now, false);
  }

  #known(name: string): Known {
    const known = this.#pipelines.get(name) ?? {
      tags: [],
      notify: undefined,
      paused: false,
      silentUntil: 0,
      overdue: new Set(),
      machines: new Map(),
    };
    this.#pipelines.set(name, known);
    return known;
  }

  #rule(name: string, kind: string, channel: string): NotifyRule | undefined {
    const { notify, tags } = this.#known(name);
    const own = notify === undefined ? undefined : resolvePipelineNotify(notify, "UTC");
    const rules = own ?? this.#rules.filter(({ pipelines }) => pipelines?.includes(name) ?? true);
    return rules.find(
      (rule) =>
        rule.to.includes(channel) &&
        (rule.on as readonly string[]).includes(kind) &&
        (rule.tags === undefined || rule.tags.some((tag) => tags.includes(tag))),
    );
  }

  #machine(name: string, kind: string, channel: string): Machine {
    const { machines } = this.#known(name);
    const key = `${kind} ${channel}`;
    const machine = machines.get(key) ?? {
      streak: 0,
      first: "",
      told: 0,
      toldAt: 0,
      over: undefined,
    };
    machines.set(key, machine);
    return machine;
  }

  #isMuted(name: string, now: number): boolean {
    const { paused, silentUntil } = this.#known(name);
    return paused || now < silentUntil;
  }

  #cause(name: string, kind: string, cause: string, now: number): void {
    for (const channel of this.#channels) {
      const machine = this.#machine(name, kind, channel);
      if (machine.over !== undefined) Object.assign(machine, { over: undefined, streak: 0 });
      machine.streak += 1;
      if (machine.streak === 1) machine.first = cause;
    }
    this.#lookAt(name, kind, now, false);
  }

  #over(name: string, kind: string, cause: string, now: number): void {
    for (const channel of this.#channels) {
      const machine = this.#machine(name, kind, channel);
      if (machine.streak === 0 || machine.over !== undefined) continue;
      machine.over = cause;
      if (machine.told === 0) Object.assign(machine, { streak: 0, over: undefined });
    }
    this.#lookAt(name, kind, now, false);
  }

  #look(name: string, now: number, isTick: boolean): void {
    for (const kind of KINDS) this.#lookAt(name, kind, now, isTick);
  }

  #lookAt(name: string, kind: string, now: number, isTick: boolean): void {
    if (this.#isMuted(name, now)) return;
    for (const channel of this.#channels) {
      const machine = this.#machine(name, kind, channel);
      const rule = this.#rule(name, kind, channel);
      if (machine.over !== undefined) {
        if (this.#rule(name, "recovered", channel) !== undefined)
          this.told.push(["recovered", kind, name, channel, machine.over, 1].join("|"));
        Object.assign(machine, { streak: 0, told: 0, over: undefined });
        continue;
      }
      if (machine.streak === 0 || rule === undefined) continue;
      const enough = machine.told === 0 && machine.streak >= (COUNTED.has(kind) ? rule.after : 1);
      const again =
        isTick &&
        machine.told > 0 &&
        rule.repeatMs !== undefined &&
        now >= machine.toldAt + rule.repeatMs;
      if (!enough && !again) continue;
      machine.told += 1;
      machine.toldAt = now;
      this.told.push([kind, "", name, channel, machine.first, machine.told].join("|"));
    }
  }
}
