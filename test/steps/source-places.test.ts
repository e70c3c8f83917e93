/** The places of sources in a stack: of each form in which a bundle is named, and where none is. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { transformSync } from "esbuild";
import { describe, expect, it, onTestFinished } from "vitest";
import { HEADS_MEMBER } from "../../src/core/bundle-text.ts";
import { SourcePlaces } from "../../src/steps/source-places.ts";
import { tempRoot } from "../support/temp-root.ts";

const SOURCE = `type A = number;
interface B { a: A }
throw new Error("no");
`;
let number = 0;

/** A folder of bundles, and one more bundle in it with its map. */
function rig(more: object = {}) {
  const { root } = tempRoot();
  const folder = join(root, "the (bundles)+");
  mkdirSync(folder);
  const add = (): string => {
    const sha = (number += 1).toString(16).padStart(64, "0");
    const { map } = transformSync(SOURCE, {
      loader: "ts",
      sourcemap: "external",
      sourcefile: "../src/p.ts",
    });
    const whole = { ...(JSON.parse(map) as object), ...more };
    writeFileSync(join(folder, `${sha}.mjs.map`), JSON.stringify(whole));
    return sha;
  };
  return { root, folder, add, source: join(root, "src/p.ts") };
}

describe("a place of a bundle", () => {
  it("is that of the source, in each form in which Node names a bundle", () => {
    const { root, folder, add, source } = rig();
    const link = join(root, "link");
    symlinkSync(folder, link);
    const sha = add();
    for (const [of, named] of [
      [folder, folder],
      [folder, pathToFileURL(folder).href],
      [link, link],
      [link, folder],
      [link, pathToFileURL(link).href],
    ] as const) {
      const places = new SourcePlaces(of);
      const sourceOf = of === link ? join(root, "src/p.ts") : source;
      for (const query of ["", "?7"])
        expect(places.text(`Error: no\n    at f (${named}/${sha}.mjs${query}:1:7)`)).toBe(
          `Error: no\n    at f (${sourceOf}:3:7)`,
        );
    }
  });

  it("on the first line is without what was put before it", () => {
    const { folder, add, source } = rig({
      mappings: "AAAAA",
      sources: ["../src/p.ts"],
      names: ["a"],
      [HEADS_MEMBER]: [0],
    });
    const sha = add();
    expect(new SourcePlaces(folder).text(`${folder}/${sha}.mjs:1:1`)).toBe(`${source}:1:1`);
    const cut = rig({ mappings: "AAAU", sources: ["../src/p.ts"], [HEADS_MEMBER]: [4] });
    const other = cut.add();
    expect(new SourcePlaces(cut.folder).text(`${cut.folder}/${other}.mjs:1:1`)).toBe(
      `${cut.source}:1:7`,
    );
    const past = rig({ mappings: "AAAU", sources: ["../src/p.ts"], [HEADS_MEMBER]: [40] });
    const third = past.add();
    expect(new SourcePlaces(past.folder).text(`${past.folder}/${third}.mjs:1:1`)).toBe(
      `${past.source}:1:1`,
    );
  });

  it("stays as it is where nothing is known of it", () => {
    const { folder, add } = rig();
    const sha = add();
    const places = new SourcePlaces(folder);
    for (const text of [
      "no bundle",
      `${folder}/${"f".repeat(64)}.mjs:1:1`,
      `${folder}/${sha}.mjs:9:1`,
      `/elsewhere/${sha}.mjs:1:1`,
      `${folder}/short.mjs:1:1`,
    ])
      expect(places.text(text)).toBe(text);
  });

  it("is kept for the sixteen that were read last", () => {
    const { folder, add } = rig();
    const places = new SourcePlaces(folder);
    const isKnown = (sha: string): boolean =>
      !places.text(`${folder}/${sha}.mjs:1:7`).includes(sha);
    const all = Array.from({ length: 16 }, add);
    for (const sha of all) expect(isKnown(sha)).toBe(true);
    for (const sha of all) rmSync(join(folder, `${sha}.mjs.map`));
    for (const sha of all) expect(isKnown(sha)).toBe(true);
    expect(isKnown(add())).toBe(true);
    expect([isKnown(all[1]!), isKnown(all[0]!)]).toEqual([true, false]);
  });
});

it("a stack has its head, each frame, and places of sources", () => {
  const before = Error.prepareStackTrace;
  onTestFinished(() => void (Error.prepareStackTrace = before));
  const { folder, add, source } = rig();
  const sha = add();
  new SourcePlaces(folder).install();
  const frames = [`f (${folder}/${sha}.mjs:1:7)`, "g (node:x:1:1)"] as never[];
  const stackOf = (error: Error, of = frames): string => String(Error.prepareStackTrace(error, of));
  expect(stackOf(new RangeError("big"))).toBe(
    `RangeError: big\n    at f (${source}:3:7)\n    at g (node:x:1:1)`,
  );
  expect(stackOf(new Error("none"), [])).toBe("Error: none");
  const own = Object.assign(new Error("x"), { toString: () => "TypeError [CODE]: x" });
  expect(stackOf(own, [])).toBe("TypeError [CODE]: x");
  const broken = Object.defineProperty(new Error("x"), "message", {
    get: () => {
      throw new Error("no message");
    },
  });
  expect(stackOf(broken, [])).toBe("<error>");
});
