/**
 * What is named is there: links between documents, documents that the code cites, and tests that
 * documents cite.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../support/temp-root.ts";

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(join(projectRoot, folder), { withFileTypes: true, recursive: folder !== "." })
    .filter(
      (entry) =>
        entry.isFile() && ending.test(entry.name) && !entry.parentPath.includes("node_modules"),
    )
    .map((entry) => relative(projectRoot, join(entry.parentPath, entry.name)));
}

const read = (path: string): string => readFileSync(join(projectRoot, path), "utf8");
const documents = [
  ...filesBelow(".", /\.md$/),
  ...filesBelow("docs", /\.md$/),
  ...filesBelow("examples", /\.md$/),
  "runs/README.md",
];
const code = ["src", "daemon", "test", "bench", "schedules", "examples", "systemd"].flatMap(
  (folder) => filesBelow(folder, /\.(?:ts|mjs|yaml|sh|service|conf|sysusers|tmpfiles)$/),
);

describe("documents", () => {
  it("link to files that are there", () => {
    const broken = documents.flatMap((document) =>
      [...read(document).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)]
        .map((match) => match[1]!)
        .filter(
          (link) =>
            !/^[a-z]+:/.test(link) && !existsSync(join(projectRoot, dirname(document), link)),
        )
        .map((link) => `${document}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  it("name tests and sources that are there", () => {
    const missing = documents.flatMap((document) =>
      [
        ...read(document).matchAll(
          /`((?:test|src|daemon|bench|docs|systemd|schedules|examples)\/[\w./-]+\.\w+)`/g,
        ),
      ]
        .map((match) => match[1]!)
        .filter(
          (path) =>
            !path.startsWith("schedules/data/") &&
            !existsSync(join(projectRoot, path)) &&
            // An example names the files of its own root.
            !(
              document.startsWith("examples/") &&
              existsSync(join(projectRoot, dirname(document), path))
            ),
        )
        .map((path) => `${document}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  it("have a row for every member of ZenML's class, each with a test that is there", () => {
    const members = /^## Members\n[^]*?(?=^## )/m.exec(read("docs/zenml.md"))![0];
    for (const member of [
      "BaseOrchestrator(StackComponent",
      "StackComponentType.ORCHESTRATOR",
      "BaseOrchestratorConfig",
      "is_remote",
      "enable_cache",
      "is_synchronous",
      "is_schedulable",
      "supports_client_side_caching",
      "handles_step_retries",
      "get_orchestrator_run_id",
      "submit_pipeline",
      "snapshot",
      "stack",
      "base_environment",
      "step_environments",
      "placeholder_run",
      "SubmissionResult",
      "metadata",
      "wait_for_completion",
      "submit_dynamic_pipeline",
      "run_step",
      "supports_dynamic_pipelines",
      "can_run_isolated_steps",
      "supported_execution_modes",
      "run_init_hook",
      "run_cleanup_hook",
      "fetch_status",
      "include_steps",
      "stop_run",
      "graceful",
    ])
      expect(members).toMatch(new RegExp(`^\\| [^|]*${member.replace("(", "\\(")}`, "m"));
    const rows = members
      .split("\n")
      .filter((line) => line.startsWith("| ") && !line.startsWith("| ZenML"));
    expect(rows.length).toBeGreaterThan(25);
    for (const row of rows) {
      for (const held of row.split("|").at(-2)!.trim().split(", ")) {
        const [file, number] = held.split(" ");
        const there =
          file === "types"
            ? "test/steps/types.test.ts"
            : file === "package"
              ? "test/system/package.test.ts"
              : `test/conformance/${file}.test.ts`;
        expect(existsSync(join(projectRoot, there)), row).toBe(true);
        if (number !== undefined)
          expect(read(there), row).toMatch(new RegExp(`["\`]${number}\\. `));
      }
    }
  });

  it("have a row for every member as a program uses it, each with a test that is there", () => {
    const section = /^## As used from a program\n[^]*?(?=^## )/m.exec(read("docs/zenml.md"))![0];
    for (const member of [
      "BaseOrchestrator",
      "config",
      "is_remote",
      "enable_cache",
      "get_orchestrator_run_id",
      "PipelineSnapshotResponse",
      "placeholder_run",
      "Stack",
      "submit_pipeline",
      "base_environment",
      "step_environments",
      "metadata",
      "wait_for_completion",
      "submit_dynamic_pipeline",
      "run_step",
      "supports_dynamic_pipelines",
      "can_run_isolated_steps",
      "supported_execution_modes",
      "run_init_hook",
      "run_cleanup_hook",
      "fetch_status",
      "stop_run",
    ])
      expect(section).toMatch(new RegExp(`^\\| [^|]*${member}`, "m"));
    const rows = section.split("\n").filter((line) => /^\| (?!ZenML)/.test(line));
    for (const row of rows)
      for (const held of row.split("|").at(-2)!.trim().split(", ")) {
        const room = held === "maximal" ? "conformance" : "program";
        expect(existsSync(join(projectRoot, `test/${room}/${held}.test.ts`)), row).toBe(true);
      }
  });

  it("are decisions of one number each, which their first line repeats", () => {
    const decisions = documents.filter((document) => document.startsWith("docs/adr/"));
    const numbers = decisions.map((document) => Number(basename(document).slice(0, 4)));
    expect(new Set(numbers).size).toBe(decisions.length);
    expect(decisions.map((document) => Number(/^# (\d+)\./.exec(read(document))?.[1]))).toEqual(
      numbers,
    );
  });

  it("are there where the code cites them", () => {
    const known = new Set(documents.flatMap((document) => [document, basename(document)]));
    const missing = code.flatMap((file) =>
      [...read(file).matchAll(/(?<![\w*`$}/-])((?:docs\/)?(?:adr\/)?[A-Za-z][\w-]*\.md)\b/g)]
        .map((match) => match[1]!)
        .filter((name) => !known.has(name))
        .map((name) => `${file}: ${name}`),
    );
    expect(missing).toEqual([]);
  });
});
