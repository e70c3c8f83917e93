/** What `orchd status` says where this user may not read all ledgers, or where they are bad. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { readStatus, type ViewOf } from "../../src/views/status-view.ts";
import { tempRoot } from "../support/temp-root.ts";
import { loaded, writePipeline } from "../support/hand-ledger.ts";

const NOW = Date.UTC(2026, 10, 23, 3);

/** The status of the pipelines a, b and c, whose ledgers cannot be read for these reasons. */
function status(codes: Readonly<Record<string, string>>): unknown {
  const { root, runs } = tempRoot();
  for (const name of ["a", "b", "c"]) writePipeline(runs, name, [loaded("0 2 * * *")]);
  const viewOf: ViewOf = (name) => {
    const code = codes[name];
    if (code !== undefined) throw Object.assign(new Error(`${code}: ${name}`), { code });
    return {
      name,
      file: `/${name}.yaml`,
      errors: [],
      active: [],
      queued: [],
      valid: true,
    } as never;
  };
  const roots = { schedules: join(root, "schedules"), runs };
  const read = readStatus(roots, undefined, NOW, viewOf);
  if (!read.ok) return read;
  return read.view.pipelines.map(({ name, errors, unread }) => [name, errors.join(), unread]);
}

it.each(["EACCES", "EPERM"])("%s of one or two is told at them, and hides nothing", (code) => {
  expect(status({ b: code })).toEqual([
    ["a", "", undefined],
    ["b", `${code}: b`, true],
    ["c", "", undefined],
  ]);
  expect(status({ a: code, c: code })).toEqual([
    ["a", `${code}: a`, true],
    ["b", "", undefined],
    ["c", `${code}: c`, true],
  ]);
});

it("of all it is said once, as an error", () => {
  expect(() => status({ a: "EACCES", b: "EPERM", c: "EACCES" })).toThrow("EACCES: c");
});

it("another fault is no lack of a right, also where all have it", () => {
  expect(status({ a: "ELOOP", b: "ELOOP", c: "ELOOP" })).toEqual([
    ["a", "ELOOP: a", undefined],
    ["b", "ELOOP: b", undefined],
    ["c", "ELOOP: c", undefined],
  ]);
});
