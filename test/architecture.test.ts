/**
 * Imports go one way, in no circle, and core/ decides without ever acting: docs of the rooms in
 * ARCHITECTURE.md.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import { projectRoot } from "./support/temp-root.ts";

/** What each place may import. */
const A_PLACE = ["places", "core", "clock", "log", "disk", "steps"] as const;

/**
 * What each room may import of the others; itself always. A file at the top of src/ is a room of
 * its own, and so is a file that opens a door for its folder (ROOMS).
 */
const ARROWS: Record<string, readonly string[]> = {
  core: [],
  clock: [],
  version: [],
  log: [],
  "small-heap": [],
  "user-signals": [],
  disk: ["clock", "version"],
  ledger: ["core", "clock", "version", "disk"],
  feed: ["core", "clock", "disk", "ledger"],
  schedules: ["core", "clock", "version", "disk"],
  steps: ["core"],
  places: ["core", "clock", "log", "steps"],
  "places/pool": ["places", "core", "clock", "log", "disk", "steps"],
  "places/runner": ["places", "places/pool", "core", "clock", "log", "disk", "steps"],
  "places/local": [...A_PLACE, "places/pool"],
  "places/container": [...A_PLACE, "places/pool"],
  "places/ssh": [...A_PLACE, "version", "places/pool"],
  "places/broker": [...A_PLACE, "places/pool"],
  worker: [...A_PLACE, "version", "places/pool", "places/local", "places/broker"],
  orchestrators: ["core", "places"],
  run: ["core", "clock", "log", "disk", "ledger", "orchestrators", "places"],
  engine: [
    "core",
    "clock",
    "version",
    "log",
    "disk",
    "ledger",
    "schedules",
    "orchestrators",
    "run",
    "places",
  ],
  "engine/workshop": [
    "core",
    "clock",
    "log",
    "disk",
    "ledger",
    "orchestrators",
    "run",
    "places",
    "places/pool",
    "places/local",
    "places/container",
    "places/ssh",
    "places/broker",
  ],
  "engine/far-places": ["core", "clock", "log", "places", "places/ssh", "places/broker"],
  "engine/evaluator": [
    "core",
    "clock",
    "disk",
    "places",
    "places/pool",
    "places/local",
    "orchestrators",
  ],
  program: [
    "core",
    "clock",
    "version",
    "disk",
    "ledger",
    "schedules",
    "steps",
    "orchestrators",
    "places",
    "run",
    "engine",
    "engine/evaluator",
    "views",
  ],
  views: ["core", "clock", "version", "ledger"],
  page: ["core", "clock", "version", "log", "ledger", "feed", "views"],
  "page/app": ["core", "views"],
  notify: ["core", "clock", "version", "log", "feed", "views"],
  traces: ["core", "clock", "version", "log", "feed", "views"],
  observe: ["core", "clock", "version", "log", "disk"],
  supervise: ["core", "clock", "log", "disk"],
  client: ["core", "clock", "ledger", "feed", "views"],
  cli: [
    "core",
    "clock",
    "version",
    "disk",
    "ledger",
    "feed",
    "schedules",
    "views",
    "client",
    "engine/evaluator",
  ],
  "cli/foreground": ["core", "clock", "version", "disk", "ledger", "schedules", "views", "engine"],
  index: [
    "core",
    "clock",
    "version",
    "schedules",
    "steps",
    "orchestrators",
    "places",
    "program",
    "views",
  ],
  "daemon/worker": ["core", "steps"],
};

/** Files that are a room of their own within one. */
const ROOMS = [
  "src/engine/workshop.ts",
  "src/engine/far-places.ts",
  "src/engine/evaluator.ts",
  "src/cli/foreground.ts",
  "daemon/worker.ts",
];

/**
 * What no arrow may ever allow, however much it tempts, and why. One place may not know another
 * either.
 */
const FORBIDDEN: readonly (readonly [from: string, to: string, because: string])[] = [
  ["views", "cli", "a page and a program show the same views, without a terminal"],
  ["client", "engine", "a program that reads and asks holds nothing and runs nothing"],
  ["client", "run", "a program that reads and asks holds nothing and runs nothing"],
  ["client", "places", "a program that reads and asks holds nothing and runs nothing"],
  ["page", "engine", "the page reads ledgers and writes requests, and drives nothing"],
  ["page", "run", "the page reads ledgers and writes requests, and drives nothing"],
  ["page", "places", "the page reads ledgers and writes requests, and drives nothing"],
  ["run", "places/local", "a run knows the port of a place, and no place"],
  ["run", "places/container", "a run knows the port of a place, and no place"],
  ["run", "places/ssh", "a run knows the port of a place, and no place"],
  ["run", "places/broker", "a run knows the port of a place, and no place"],
  ["run", "places/pool", "a run knows the port of a place, and no place"],
  ["orchestrators", "places/local", "an orchestrator knows the port of a place, and no place"],
  ["orchestrators", "ledger", "an orchestrator says how steps come to run, and writes nothing"],
  ["orchestrators", "run", "what drives a run knows its orchestrator, and not the reverse"],
  ["places/local", "ledger", "a place runs tasks; what came of them is for the run to write"],
  ["places/pool", "ledger", "a place runs tasks; what came of them is for the run to write"],
  ["places/ssh", "ledger", "a place runs tasks; what came of them is for the run to write"],
  ["places/broker", "ledger", "a place runs tasks; what came of them is for the run to write"],
  ["worker", "ledger", "a worker runs tasks; the daemon alone writes ledgers"],
  ["places/container", "ledger", "a place runs tasks; what came of them is for the run to write"],
  ["observe", "ledger", "what watches must not write the daemon's ledgers"],
  ["supervise", "page", "the daemon starts the page as a program, and loads nothing of it"],
  ["supervise", "notify", "the daemon starts it as a program, and loads nothing of it"],
  ["notify", "ledger", "what tells people must not write the daemon's ledgers"],
];

/** Packages that core/ may use: each computes and does nothing else. */
const CORE_PACKAGES = new Set(["zod", "croner", "node:crypto"]);

interface Import {
  readonly from: string;
  readonly specifier: string;
  /** `import("…")`: loaded when it is needed. */
  readonly late: boolean;
}

/** The source without comments and, if asked, without what stands in quotes. */
function strip(source: string, strings = false): string {
  return source.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g,
    (text) => (text.startsWith("/*") || text.startsWith("//") ? " " : strings ? '""' : text),
  );
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(projectRoot, folder), { withFileTypes: true, recursive: true })
    .filter(
      (entry) => entry.isFile() && /\.tsx?$/.test(entry.name) && !entry.name.endsWith(".d.ts"),
    )
    .map((entry) => relative(projectRoot, join(entry.parentPath, entry.name)))
    .sort();
}

/** The files' texts without their comments. */
const readSources = (files: readonly string[]): Map<string, string> =>
  new Map(files.map((file) => [file, strip(readFileSync(join(projectRoot, file), "utf8"))]));

/** `import … from "…"` and `export … from "…"`; `import "…"`; `import("…")`. */
const IMPORT = new RegExp(
  [
    /\b(?:import|export)\b[^"';=()]*?\bfrom\s*"([^"]+)"/,
    /\bimport\s*"([^"]+)"/,
    /\bimport\(\s*"([^"]+)"\s*\)/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);

const importsOf = (from: ReadonlyMap<string, string>): Import[] =>
  [...from].flatMap(([file, text]) =>
    [...text.matchAll(IMPORT)].map((match) => ({
      from: file,
      specifier: (match[1] ?? match[2] ?? match[3])!,
      late: match[3] !== undefined,
    })),
  );

const sources = readSources([...filesBelow("src"), ...filesBelow("daemon")]);
const imports = importsOf(sources);

/** The file that a relative specifier names, from the project's root. */
const target = ({ from, specifier }: Pick<Import, "from" | "specifier">): string =>
  join(dirname(from), specifier);

function roomOf(file: string): string {
  const own = ROOMS.find((room) => file.startsWith(room));
  if (own !== undefined) return own.replace(/^src\//, "").replace(/\.ts$/, "");
  if (file.startsWith("src/page/app/")) return "page/app";
  const place = /^src\/(places\/[^/]+)\//.exec(file);
  if (place !== null) return place[1]!;
  if (file.startsWith("daemon/")) return "daemon";
  const [, first] = file.split("/");
  return first!.replace(/\.ts$/, "");
}

/**
 * `cli` and `cli/foreground` are one folder: the door may be opened from inside, and nowhere else.
 * A place is no part of its port, and what runs in a browser no part of its server.
 */
function mayImport(from: string, to: string): boolean {
  // The programs wire everything.
  if (from === to || from === "daemon") return true;
  const [fromFolder, toFolder] = [from.split("/")[0], to.split("/")[0]];
  const apart = ["places", "page"].includes(fromFolder!) || from === "daemon/worker";
  if (fromFolder === toFolder && !apart) return true;
  return (ARROWS[from] ?? []).includes(to);
}

describe("the rooms", () => {
  const local = imports.filter(({ specifier }) => specifier.startsWith("."));

  it("are all on the map", () => {
    expect(
      [...new Set([...sources.keys()].map(roomOf))].filter(
        (room) => room !== "daemon" && !(room in ARROWS),
      ),
    ).toEqual([]);
  });

  it("are apart where that is a promise", () => {
    const broken = FORBIDDEN.filter(([from, to]) => ARROWS[from]?.includes(to)).map(
      ([from, to, because]) => `${from} -> ${to}: ${because}`,
    );
    // What places are made of is no place.
    const isPlace = (room: string): boolean =>
      room.startsWith("places/") && !["places/pool", "places/runner"].includes(room);
    const between = Object.entries(ARROWS)
      .filter(([from]) => isPlace(from))
      .flatMap(([from, allowed]) =>
        allowed.filter((to) => isPlace(to) && to !== from).map((to) => `${from} -> ${to}`),
      );
    expect([...broken, ...between]).toEqual([]);
  });

  it("import files that exist, by their .ts names", () => {
    const broken = local.filter(
      (one) => !sources.has(target(one)) && !one.specifier.endsWith(".json"),
    );
    expect(broken.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([]);
  });

  it("import one way only", () => {
    const uphill = local
      .map((one) => ({ ...one, fromRoom: roomOf(one.from), toRoom: roomOf(target(one)) }))
      .filter(({ fromRoom, toRoom }) => !mayImport(fromRoom, toRoom))
      .map(
        ({ from, specifier, fromRoom, toRoom }) =>
          `${from} imports ${specifier}: ${fromRoom} must not know ${toRoom}`,
      );
    expect(uphill).toEqual([]);
  });

  it("lend the browser types of views, and no code that reads ledgers", () => {
    const values = [...sources]
      .filter(([file]) => file.startsWith("src/page/app/"))
      .flatMap(([file, text]) =>
        [...text.matchAll(/^import (?!type\b)[^;]*?from "([^"]*\/views\/[^"]*)"/gm)].map(
          (match) => `${file} imports ${match[1]}`,
        ),
      );
    expect(values).toEqual([]);
  });

  it("let no test of the engine know the command line", () => {
    const tests = importsOf(readSources(filesBelow("test/engine")));
    const printed = tests.filter((one) => target(one).startsWith("src/cli/"));
    expect(printed.map(({ from, specifier }) => `${from} imports ${specifier}`)).toEqual([]);
  });

  it("have no cycle, types included", () => {
    const edges = new Map<string, string[]>();
    // What is loaded late is a way back on purpose: the list of commands loads each command, and
    // one of them prints the list.
    for (const one of local.filter(({ late }) => !late))
      edges.set(one.from, [...(edges.get(one.from) ?? []), target(one)]);
    const done = new Set<string>();
    const cycles: string[] = [];
    const walk = (file: string, path: string[]): void => {
      const at = path.indexOf(file);
      if (at !== -1) cycles.push([...path.slice(at), file].join(" -> "));
      if (at !== -1 || done.has(file)) return;
      for (const next of edges.get(file) ?? []) walk(next, [...path, file]);
      done.add(file);
    };
    for (const file of sources.keys()) walk(file, []);
    expect(cycles).toEqual([]);
  });

  it("have no barrel but the public API", () => {
    const barrels = [...sources]
      .filter(([file, text]) => file !== "src/index.ts" && /\bexport\s+\*/.test(text))
      .map(([file]) => file);
    expect(barrels).toEqual([]);
  });

  it("are not named after nothing", () => {
    expect(
      [...sources.keys()].filter((file) =>
        /\/(utils?|helpers?|common|misc|lib)(\/|\.ts$)/.test(file),
      ),
    ).toEqual([]);
  });
});

it("reporters load nothing of Vitest's: no test runs yet", () => {
  const loaded = new Set(
    filesBelow("test/support").filter((file) => file.endsWith("-reporter.ts")),
  );
  const ofVitest: string[] = [];
  for (const file of loaded) {
    const text = strip(readFileSync(join(projectRoot, file), "utf8"));
    const values = text.replaceAll(/^import type [^;]*;/gm, "");
    for (const { specifier } of importsOf(new Map([[file, values]]))) {
      if (specifier === "vitest") ofVitest.push(file);
      if (specifier.startsWith(".")) loaded.add(join(dirname(file), specifier));
    }
  }
  expect(ofVitest).toEqual([]);
});

describe("core/", () => {
  const core = [...sources].filter(([file]) => file.startsWith("src/core/"));

  it("imports only what computes", () => {
    const foreign = imports
      .filter(
        ({ from, specifier }) =>
          from.startsWith("src/core/") &&
          !specifier.startsWith(".") &&
          !CORE_PACKAGES.has(specifier),
      )
      .map(({ from, specifier }) => `${from} imports ${specifier}`);
    expect(foreign).toEqual([]);
  });

  it("never asks what time it is, rolls no dice, waits for nothing and knows no process", () => {
    const forbidden = new RegExp(
      [
        /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(\s*\)|\bperformance\b/,
        /\bMath\.random\b|\brandom(?:UUID|Bytes|Int)\b/,
        /\bset(?:Timeout|Interval|Immediate)\b/,
        /\bprocess\b(?!\s*:)|\bglobalThis\b|\bfetch\(/,
      ]
        .map(({ source }) => source)
        .join("|"),
    );
    const found = core.flatMap(([file, text]) => {
      const match = forbidden.exec(strip(text, true));
      return match ? [`${file}: ${match[0]}`] : [];
    });
    expect(found).toEqual([]);
  });
});

describe("the daemon", () => {
  it("loads nothing of the page, which it starts as a program", () => {
    const reached = new Set<string>();
    const walk = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const one of imports)
        if (one.from === file && one.specifier.startsWith(".")) walk(target(one));
    };
    walk("daemon/daemon.ts");
    expect(reached.has("src/supervise/supervisor.ts")).toBe(true);
    expect([...reached].filter((file) => /^src\/(?:page|feed)\//.test(file))).toEqual([]);
    const packages = imports
      .filter(({ from, specifier }) => reached.has(from) && /^(@?hono|prom-client)/.test(specifier))
      .map(({ from, specifier }) => `${from} imports ${specifier}`);
    expect(packages).toEqual([]);
  });
});

describe("the fast path of `orchd status`", () => {
  it("loads no schema library, however far the ledger reader's imports reach", () => {
    const reached = new Set<string>();
    const heavy: string[] = [];
    const valueImports = (file: string): Pick<Import, "from" | "specifier">[] =>
      [
        ...(sources.get(file) ?? "").matchAll(
          /^\s*(?:import|export)\s+(?!type\b)[^"';()]*?\bfrom\s*"([^"]+)"/gm,
        ),
      ].map((match) => ({
        from: file,
        specifier: match[1]!,
      }));
    const walk = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const one of valueImports(file)) {
        if (one.specifier.startsWith(".")) walk(target(one));
        else if (!one.specifier.startsWith("node:")) heavy.push(`${file} imports ${one.specifier}`);
      }
    };
    walk("src/ledger/ledger-reader.ts");
    expect(reached.size).toBeGreaterThan(1);
    expect(heavy).toEqual([]);
  });
});

describe("the start of the page", () => {
  it("makes no schema of files, requests, ledgers or answers", async () => {
    const { metafile } = await build({
      entryPoints: ["daemon/page-alone.ts"],
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      splitting: true,
      metafile: true,
      write: false,
      outdir: "out",
      absWorkingDir: projectRoot,
    });
    const { inputs, outputs } = metafile;
    const loaded = new Set<string>();
    const load = (path: string): void => {
      if (loaded.has(path)) return;
      loaded.add(path);
      for (const one of outputs[path]!.imports)
        if (one.kind === "import-statement" && one.external !== true) load(one.path);
    };
    load("out/page-alone.js");
    const files = [...loaded].flatMap((path) =>
      Object.entries(outputs[path]!.inputs).flatMap(([file, { bytesInOutput }]) =>
        bytesInOutput > 0 ? [file] : [],
      ),
    );
    const checks = files.filter((file) => inputs[file]!.imports.some(({ path }) => path === "zod"));
    // The params of routes are checked with zod, and are few.
    expect(checks.sort()).toEqual([
      "src/page/server/other-routes.ts",
      "src/page/server/route.ts",
      "src/page/server/routes.ts",
    ]);
  });
});
