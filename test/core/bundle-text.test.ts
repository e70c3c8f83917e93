/** The line of a bundle that says which packages were installed when it was made. */
import { expect, it } from "vitest";
import { packagesIn, packagesLine } from "../../src/core/bundle-text.ts";

const PRINTS = { "/srv/node_modules/zod": "3f", "/srv/node_modules/y": "9a" };

it.each([
  ["after code", `x();\n${packagesLine(PRINTS)}`, PRINTS],
  ["alone", packagesLine(PRINTS), PRINTS],
  ["without the line feed", `x();\n${packagesLine(PRINTS).slice(0, -1)}`, PRINTS],
  ["no packages", `x();\n${packagesLine({})}`, {}],
  ["no such line", "x();\ny();\n", {}],
  ["a line of an older release", "x();\n// packages: 12ab\n", {}],
  // Of a text's end that begins within the line, nobody knows what stood before.
  ["half a line", packagesLine(PRINTS).slice(3), undefined],
])("%s", (_what, text, prints) => {
  expect(packagesIn(text)).toEqual(prints);
});
