/** What the words of a bench's command ask for. */
import { expect, it } from "vitest";
import { parseArguments, type Offer } from "../../bench/arguments.ts";

const OFFERS: Readonly<Record<string, Offer>> = {
  fold: { takes: "20 s", unnamed: "always" },
  steps: { takes: "1 min", unnamed: "always" },
  fire: { takes: "6 min", unnamed: "long" },
  soak: { takes: "1 h", unnamed: "never" },
};
const benches = (...words: string[]): readonly string[] => parseArguments(words, OFFERS).benches;

it("runs what is named, in that order, whatever it takes", () => {
  expect(benches("soak", "fold")).toEqual(["soak", "fold"]);
  expect(benches("--short", "fire")).toEqual(["fire"]);
});

it("runs all that is not too long if nothing is named", () => {
  expect(benches()).toEqual(["fold", "steps", "fire"]);
  expect(benches("--short")).toEqual(["fold", "steps"]);
});

it("takes a number as the length of histories", () => {
  expect(parseArguments(["fold", "500", "--json"], OFFERS)).toMatchObject({
    benches: ["fold"],
    runs: 500,
    json: true,
    keep: true,
    check: false,
  });
});

it("names the benches that there are", () => {
  expect(() => benches("folds")).toThrow(
    "There is no bench folds; there are fold, steps, fire, soak.",
  );
  expect(() => benches("--shortly")).toThrow("--shortly");
});

it("takes a file to compare with", () => {
  expect(parseArguments(["--against", "a.json"], OFFERS).against).toBe("a.json");
});
