/** `orchd metrics`, as the built program. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { METRICS } from "../../src/page/metrics/metric-list.ts";
import { orchd, orchdProgram } from "../support/daemon.ts";
import { madeUpRoot } from "../support/made-up-root.ts";
import { parseMetrics } from "../support/parse-metrics.ts";

const slots = { pipeline: "etl", decision: "fired" };

it("prints the metrics, as text and as JSON", async () => {
  const { root } = madeUpRoot();
  const text = await orchd(root, "metrics");
  expect([text.status, text.stderr]).toEqual([0, ""]);
  const series = parseMetrics(text.stdout);
  expect([...series.types.keys()]).toEqual(Object.values(METRICS).map(({ name }) => name));
  const json = await orchd(root, "metrics", "--json");
  const all = json.json<{ name: string; samples: { labels: object; value: number }[] }[]>();
  expect(
    all
      .find(({ name }) => name === "orchd_slots_total")!
      .samples.find(({ labels }) => JSON.stringify(labels) === JSON.stringify(slots))!.value,
  ).toBe(series.value("orchd_slots_total", slots));
});

it("writes a file for all, whole, and follows a link to it", async () => {
  const { root } = madeUpRoot();
  const folder = join(root, "collected");
  mkdirSync(folder);
  writeFileSync(join(folder, "orchd.prom"), "old", { mode: 0o600 });
  symlinkSync(join(folder, "orchd.prom"), join(root, "link.prom"));
  for (const path of ["collected/new.prom", "link.prom"]) {
    const { status, stdout, stderr } = await orchd(root, "metrics", "--textfile", path, {
      through: ["sh", "-c", 'umask 077; exec "$0" "$@"'],
    });
    expect([status, stdout, stderr]).toEqual([0, "", ""]);
  }
  expect(lstatSync(join(root, "link.prom")).isSymbolicLink()).toBe(true);
  expect(readdirSync(folder).toSorted()).toEqual(["new.prom", "orchd.prom"]);
  for (const name of ["new.prom", "orchd.prom"]) {
    const path = join(folder, name);
    expect(statSync(path).mode & 0o777).toBe(0o644);
    expect(parseMetrics(readFileSync(path, "utf8")).value("orchd_up", {})).toBe(0);
  }
});

it.each([
  ["/dev/null", "/dev/null is no file; --textfile replaces a file as a whole."],
  ["nowhere/orchd.prom", "there is no folder"],
  ["schedules", "schedules is no file"],
])("refuses to write to %s, in a sentence", async (path, sentence) => {
  const { root } = madeUpRoot();
  mkdirSync(join(root, "schedules"), { recursive: true });
  const { status, stdout, stderr } = await orchd(root, "metrics", "--textfile", path);
  expect([status, stdout]).toEqual([2, ""]);
  expect(stderr).toContain(sentence);
  expect(stderr.trim().split("\n")).toHaveLength(1);
});

it("is the only command that loads what it needs", () => {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path) || !existsSync(path)) return;
    seen.add(path);
    const text = readFileSync(path, "utf8");
    expect(text, path).not.toMatch(/(?:from|import)\s*"prom-client"/);
    for (const [, to = ""] of text.matchAll(/(?:from|import)\s*"(\.[^"]+)"/g))
      visit(join(dirname(path), to));
  };
  visit(orchdProgram);
  visit(join(dirname(orchdProgram), "page-alone.mjs"));
  visit(join(dirname(orchdProgram), "commands.mjs"));
  expect(seen.size).toBeGreaterThan(1);
});
