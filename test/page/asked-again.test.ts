/** What the app asks for again and again, and rows that stay while somebody is at them. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadLate } from "../../src/page/app/late-code.ts";
import { scheduleText } from "../../src/page/app/schedule-text.ts";
import { inOrderOf } from "../../src/page/app/steady.ts";
import { untilAnswered } from "../../src/page/app/until-answered.ts";

const page = { hidden: false };
let began: number;

beforeEach(() => {
  vi.useFakeTimers();
  page.hidden = false;
  began = Date.now();
  vi.stubGlobal("document", page);
  vi.stubGlobal("window", {
    setTimeout: (act: (...given: never[]) => void, ms: number, ...given: never[]) =>
      setTimeout(act, ms, ...given),
    clearTimeout: (timer: NodeJS.Timeout) => clearTimeout(timer),
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});
const now = (): number => Date.now() - began;
const until = (milliseconds: number): Promise<unknown> =>
  vi.advanceTimersByTimeAsync(milliseconds - now());

describe("what nobody else asks for again", () => {
  /** Asks until the signal, and says when. */
  function asked(answerAt = Number.POSITIVE_INFINITY) {
    const times: number[] = [];
    const ended: { value?: unknown } = {};
    const abort = new AbortController();
    const ask = (): Promise<string | undefined> => {
      times.push(now());
      return Promise.resolve(now() >= answerAt ? "it" : undefined);
    };
    void untilAnswered(ask, abort.signal).then((value) => (ended.value = [value]));
    return { times, ended, abort };
  }

  it("is asked for after one second, then after twice as long, and at last each 15 s", async () => {
    const { times, ended, abort } = asked();
    await until(60_000);
    expect(times).toEqual([0, 1_000, 3_000, 7_000, 15_000, 30_000, 45_000, 60_000]);
    expect(ended.value).toBeUndefined();
    abort.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect([ended.value, vi.getTimerCount()]).toEqual([[undefined], 0]);
  });

  it("is asked for no more once it is there", async () => {
    const { times, ended } = asked(3_000);
    await until(60_000);
    expect([times, ended.value]).toEqual([[0, 1_000, 3_000], ["it"]]);
  });

  it("is asked for once by a hidden tab, and again when that is shown", async () => {
    page.hidden = true;
    const { times } = asked();
    await until(14_000);
    expect(times).toEqual([0]);
    page.hidden = false;
    await until(15_000);
    expect(times).toEqual([0, 15_000]);
  });

  it("does not count where the signal came first", async () => {
    const { ended, abort } = asked(0);
    abort.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(ended.value).toEqual([undefined]);
    const never = vi.fn<() => Promise<string>>();
    expect(await untilAnswered(never, abort.signal)).toBeUndefined();
    expect(never).not.toHaveBeenCalled();
  });
});

describe("code that is loaded late", () => {
  /** Loads what comes at a moment. */
  function loaded(comesAt = Number.POSITIVE_INFINITY) {
    vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const heard: [string, number][] = [];
    const end = loadLate(
      () => {
        heard.push(["load", now()]);
        return now() >= comesAt ? Promise.resolve(7) : Promise.reject(new Error("no network"));
      },
      (code) => heard.push([`came ${code}`, now()]),
      () => heard.push(["missing", now()]),
    );
    const loads = (): number[] => heard.flatMap(([what, at]) => (what === "load" ? [at] : []));
    return { heard, loads, end };
  }

  it("is asked for until it comes, and told to be missing after the fourth time", async () => {
    const { heard, loads } = loaded(60_000);
    await until(90_000);
    expect(loads()).toEqual([0, 500, 1_500, 3_500, 7_500, 15_500, 30_500, 45_500, 60_500]);
    expect(heard.filter(([what]) => what !== "load")).toEqual([
      ["missing", 3_500],
      ["came 7", 60_500],
    ]);
  });

  it("is not asked for again by a hidden tab, nor once it was ended", async () => {
    page.hidden = true;
    const { loads, heard, end } = loaded(1);
    await until(500);
    expect(loads()).toEqual([0]);
    page.hidden = false;
    await until(15_500);
    expect(heard.slice(1)).toEqual([
      ["load", 15_500],
      ["came 7", 15_500],
    ]);
    end();
    const given = loaded(0);
    given.end();
    await until(60_000);
    expect([given.heard.length, vi.getTimerCount()]).toEqual([1, 0]);
  });
});

it("rows keep their order, are renewed, and new ones come last", () => {
  const row = (key: string, value: number) => ({ key, value });
  const shown = inOrderOf(
    [row("b", 1), row("gone", 1), row("a", 1)],
    [row("new", 2), row("a", 2), row("b", 2)],
    ({ key }) => key,
  );
  expect(shown.map(({ key, value }) => `${key}${value}`)).toEqual(["b2", "gone1", "a2", "new2"]);
});

it.each([
  [null, [], "–"],
  ["0 2 * * * Europe/Berlin", ["Europe/Berlin"], "0 2 * * *"],
  ["0 2 * * * Europe/Berlin", ["Europe/Berlin", "UTC"], "0 2 * * * Europe/Berlin"],
  ["0 2 * * *", ["UTC"], "0 2 * * *"],
  ["UTC", ["UTC"], "UTC"],
])("the schedule %j in %j is shown as %j", (schedule, timezones, text) => {
  expect(scheduleText({ schedule, timezones })).toBe(text);
});
