/** Why a step finds no host that takes it, in a sentence, for every kind of place and host. */
import { describe, expect, it } from "vitest";
import { whyUnserved, type PlaceHost, type PlaceReport } from "../../src/core/place-report.ts";

const host = (name: string, labels: readonly string[] = [], because?: string): PlaceHost => ({
  host: name,
  labels,
  threads: 1,
  because,
});
const place = (name: string, more: Partial<PlaceReport> = {}): PlaceReport => ({
  place: name,
  engine: "nats",
  labels: [],
  hosts: [],
  ...more,
});
const down = "the broker does not answer.";

describe("a step that wants labels", () => {
  it.each<[string, readonly string[], readonly PlaceReport[], string | undefined]>([
    [
      "nobody has one",
      ["gpu"],
      [place("a", { hosts: [host("x")] })],
      'no place has the label "gpu"',
    ],
    [
      "nobody has both",
      ["gpu", "big"],
      [place("a", { hosts: [host("x", ["gpu"])] })],
      'no place has all of the labels "gpu" and "big"',
    ],
    ["there is no place", ["gpu"], [], 'no place has the label "gpu"'],
    ["a host has it", ["gpu"], [place("a", { hosts: [host("x", ["gpu"])] })], undefined],
    [
      "the place has it for all of its hosts",
      ["gpu"],
      [place("a", { labels: ["gpu"], hosts: [host("x")] })],
      undefined,
    ],
    ["the place's name is one", ["a"], [place("a", { hosts: [host("x")] })], undefined],
    [
      "the place has one and its host the other",
      ["a", "gpu", "big"],
      [place("a", { labels: ["big"], hosts: [host("x", ["gpu"])] })],
      undefined,
    ],
    [
      "another place has the other",
      ["gpu", "b"],
      [place("a", { labels: ["gpu"], hosts: [host("x")] }), place("b", { hosts: [host("y")] })],
      'no place has all of the labels "gpu" and "b"',
    ],
    [
      "two hosts have one each",
      ["gpu", "big"],
      [place("a", { hosts: [host("x", ["gpu"]), host("y", ["big"])] })],
      'no place has all of the labels "gpu" and "big"',
    ],
    [
      "its host takes no work",
      ["gpu"],
      [place("a", { hosts: [host("x", ["gpu"], "x has no disk")] })],
      "x has no disk",
    ],
    [
      "one of its hosts takes none and another does",
      ["gpu"],
      [place("a", { hosts: [host("x", ["gpu"], "x has no disk"), host("y", ["gpu"])] })],
      undefined,
    ],
    [
      "all of its hosts take none",
      ["a"],
      [
        place("a", {
          hosts: [
            host("x", [], "x is full."),
            host("y", [], "y is old"),
            host("z", [], "x is full."),
          ],
        }),
      ],
      "x is full; y is old",
    ],
    [
      "only a host without it takes none",
      ["gpu"],
      [place("a", { hosts: [host("x", ["gpu"]), host("y", [], "y is old")] })],
      undefined,
    ],
    ["its place is down", ["a"], [place("a", { because: down, hosts: [host("x")] })], down],
    [
      "its place is down and no host has it",
      ["gpu"],
      [place("a", { engine: "ssh", because: down, hosts: [host("x")] })],
      'no place has the label "gpu"',
    ],
    ["the place of its name has no worker", ["a"], [place("a")], 'no worker of "a" is up'],
    [
      "the place of its label has no worker, and says why",
      ["gpu"],
      [place("a", { labels: ["gpu"], because: down })],
      down,
    ],
    [
      "the place of its name has no worker, and wants more",
      ["a", "gpu"],
      [place("a")],
      'no place has all of the labels "a" and "gpu"',
    ],
    [
      "one place is down and another takes it",
      ["gpu"],
      [
        place("a", { because: down, hosts: [host("x", ["gpu"])] }),
        place("b", { hosts: [host("y", ["gpu"])] }),
      ],
      undefined,
    ],
    [
      "two places are down for the same reason",
      ["gpu"],
      ["a", "b"].map((name) => place(name, { because: down, hosts: [host("x", ["gpu"])] })),
      down,
    ],
    [
      "two places are down for reasons of their own",
      ["gpu"],
      [
        place("a", { because: down, hosts: [host("x", ["gpu"])] }),
        place("b", { labels: ["gpu"], because: "b is old" }),
      ],
      "the broker does not answer; b is old",
    ],
  ])("where %s", (_, labels, reports, why) => {
    expect(whyUnserved(labels, reports)).toBe(why);
  });

  it.each([
    ["nats", true],
    ["redis", true],
    ["ssh", false],
    ["podman", false],
    ["local", false],
  ])(
    "of a place by %s that is silent, whose workers may have them, says so: %s",
    (engine, said) => {
      const silent = place("far", { engine, because: down });
      expect(whyUnserved(["gpu"], [silent, place("near", { engine, hosts: [host("x")] })])).toBe(
        said
          ? 'no place has the label "gpu"; the broker does not answer'
          : 'no place has the label "gpu"',
      );
    },
  );
});
