/** What a browser loads first is small, and comes from the page's own server alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { projectRoot } from "../support/temp-root.ts";

const MOST = 60_000;
const folder = join(projectRoot, "dist/page");
const index = readFileSync(join(folder, "index.html"), "utf8");

/** The files that index.html names. */
const named = [...index.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map((match) => match[1]!);

it(`is below ${MOST / 1_000} kB gzipped, without what is loaded when it is needed`, () => {
  expect(named.length).toBeGreaterThan(2);
  const sizes = ["index.html", ...named].map(
    (file) => gzipSync(readFileSync(join(folder, file))).length,
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MOST);
});

it("needs no script within the page, and nothing from elsewhere", () => {
  expect(index).not.toMatch(/<script(?![^>]*\bsrc=)/);
  expect(index).not.toMatch(/\bstyle=|\bon[a-z]+=/);
  expect(index).not.toMatch(/https?:/);
  expect(index).toContain('<base href="/" />');
});
