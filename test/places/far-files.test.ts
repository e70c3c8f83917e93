/** Files by hash, both ways: what does not arrive whole is not taken, whoever sends it. */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { farBundleFault, farSourceMap } from "../../src/places/pool/far-bundle.ts";
import { FarTasks } from "../../src/places/pool/far-tasks.ts";
import type { ToRunner } from "../../src/places/pool/protocol.ts";
import { ReceivedFiles } from "../../src/places/pool/received-files.ts";
import { SentFiles, type FarFile } from "../../src/places/pool/sent-files.ts";
import { PIECE_BYTES, type FromFar, type ToFar } from "../../src/places/pool/wire.ts";
import { FarFolder } from "../../src/places/runner/far-folder.ts";
import type { ModuleTask } from "../../src/core/task.ts";
import { plainModule } from "../support/plain-module.ts";
import { tempRoot } from "../support/temp-root.ts";

const sha = (bytes: string | Buffer): string => createHash("sha256").update(bytes).digest("hex");
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** Both ends of a wire, in one process. @param beside another one, whose folder it uses */
function bothEnds(
  spoil: (message: ToFar) => ToFar = (message) => message,
  beside?: { readonly folder: string },
): {
  readonly sent: SentFiles;
  readonly said: ToFar[];
  readonly folder: string;
} {
  const far = new FarFolder(beside?.folder ?? join(tempRoot().root, "far"));
  const said: ToFar[] = [];
  const sent: SentFiles = new SentFiles({
    write: (message) => {
      said.push(message);
      const given = spoil(message);
      if (given.type === "beat") return;
      const answer = given.type === "need" ? far.need(given) : far.put(given);
      if (answer !== undefined && "name" in answer) queueMicrotask(() => sent.hear(answer));
    },
    drained: () => Promise.resolve(),
  });
  return { sent, said, folder: far.folder };
}

describe("files on their way to a far runner", () => {
  it("are sent in pieces, once, and not at all where they are there", async () => {
    const { root } = tempRoot();
    const path = join(root, "code.mjs");
    writeFileSync(path, "x".repeat(3 * PIECE_BYTES + 1));
    const { sent, said, folder } = bothEnds();
    const file = { name: "bundles/code.mjs", path };
    await Promise.all([sent.ensure([file]), sent.ensure([file])]);
    expect(sent.ensure([file])).toBeUndefined();
    expect(said.map(({ type }) => type)).toEqual(["need", "put", "put", "put", "put"]);
    expect(readFileSync(join(folder, file.name))).toEqual(readFileSync(path));
    expect(readdirSync(join(folder, "bundles"))).toEqual(["code.mjs"]);
  });

  it("that do not arrive whole are refused, with a sentence, and tried again", async () => {
    const { root } = tempRoot();
    const path = join(root, "code.mjs");
    writeFileSync(path, "export default 1;");
    let isSpoilt = true;
    const { sent, folder } = bothEnds((message) =>
      message.type === "put" && isSpoilt ? { ...message, data: base64("other") } : message,
    );
    const file = { name: "bundles/code.mjs", path };
    await expect(sent.ensure([file])).rejects.toThrow("bundles/code.mjs did not arrive whole");
    expect(readdirSync(join(folder, "bundles"))).toEqual([]);
    isSpoilt = false;
    await sent.ensure([file]);
    expect(readdirSync(join(folder, "bundles"))).toEqual(["code.mjs"]);
  });

  it("that are gone here are left to the runner to miss", async () => {
    const { sent, said } = bothEnds();
    await sent.ensure([{ name: "bundles/code.mjs", path: "/nowhere/code.mjs" }]);
    expect(said).toEqual([]);
  });

  it("that were gone here are sent once they are back", async () => {
    const { root } = tempRoot();
    const { sent, said, folder } = bothEnds();
    const [code, value, list] = ["code.mjs", "value", "list"].map((name) => join(root, name));
    const hash = sha("[1]");
    const files: FarFile[] = [
      { name: "bundles/code.mjs", path: code! },
      { name: `artifacts/${hash}`, path: value!, hash },
      {
        name: `artifacts/${sha("list")}`,
        path: list!,
        within: (text) => (text === "x" ? [{ name: "bundles/x.mjs", path: join(root, "x") }] : []),
      },
    ];
    await sent.ensure(files);
    expect(said).toEqual([{ type: "need", name: `artifacts/${hash}`, hash }]);
    for (const [path, text] of [
      [code, "1;"],
      [value, "[1]"],
      [list, "x"],
    ] as const)
      writeFileSync(path!, text);
    await sent.ensure(files);
    expect(readFileSync(join(folder, "bundles/code.mjs"), "utf8")).toBe("1;");
    expect(readFileSync(join(folder, "artifacts", hash), "utf8")).toBe("[1]");
    // What a value names was not there yet.
    writeFileSync(join(root, "x"), "2;");
    await sent.ensure(files);
    expect(readFileSync(join(folder, "bundles/x.mjs"), "utf8")).toBe("2;");
    expect(sent.ensure(files)).toBeUndefined();
  });

  it("may have no name outside their folders", () => {
    const { root } = tempRoot();
    const far = new FarFolder(root);
    for (const name of [
      "../x.mjs",
      "bundles/../../x.mjs",
      "/etc/passwd",
      "scratch/x",
      "artifacts/x",
    ]) {
      const hash = sha("x");
      expect(far.need({ type: "need", name, hash }).type).toBe("cannot");
      expect(far.put({ type: "put", name, hash, data: base64("x"), last: true })?.type).toBe(
        "cannot",
      );
    }
  });

  it("that cannot be written are refused, with the reason", () => {
    const { root } = tempRoot();
    const far = new FarFolder(root);
    const hash = sha("x");
    const name = `artifacts/${hash}`;
    mkdirSync(join(root, name));
    const answer = far.put({ type: "put", name, hash, data: base64("x"), last: true });
    expect(answer).toMatchObject({ type: "cannot" });
    expect((answer as Extract<FromFar, { type: "cannot" }>).because).toMatch(
      /^its files cannot be written over there: EISDIR/,
    );
  });
});

describe("the files of a far result", () => {
  const piece = (file: number, text: string, last = true) =>
    ({ type: "piece", id: "a", file, data: base64(text), last }) as const;
  const staged = (...texts: string[]) => ({
    value: null,
    files: texts.map((text) => ({ ref: { $artifact: sha(text), bytes: text.length }, file: "/x" })),
  });

  it("are taken where they are what the result says, under names of this machine", () => {
    const root = join(tempRoot().root, "artifacts");
    const received = new ReceivedFiles();
    for (const each of [piece(0, "on", false), piece(0, "e"), piece(1, "two")])
      expect(received.take(each, root)).toBeUndefined();
    const { files } = received.adopt("a", staged("one", "two"));
    expect(files.map(({ file }) => readFileSync(file, "utf8"))).toEqual(["one", "two"]);
  });

  it("are a thousand and twenty-four at most", () => {
    const root = join(tempRoot().root, "artifacts");
    const received = new ReceivedFiles();
    const faults = Array.from({ length: 1_025 }, (_, n) => received.take(piece(n, ""), root));
    expect(faults.filter((fault) => fault !== undefined)).toEqual([
      "sent the files of a result in no order",
    ]);
    expect(faults[1_024]).toBeDefined();
    received.end();
  });

  it("are removed where they are not, where more came, and where the runner dies", () => {
    const root = join(tempRoot().root, "artifacts");
    const received = new ReceivedFiles();
    for (const other of [staged("two"), staged("one", "two"), staged()]) {
      received.take(piece(0, "one"), root);
      expect(() => received.adopt("a", other)).toThrow("did not arrive whole");
      expect(readdirSync(root)).toEqual([]);
    }
    received.take(piece(0, "on", false), root);
    received.end();
    expect(readdirSync(root)).toEqual([]);
  });

  it("come in their order, or the runner is ended", () => {
    const root = join(tempRoot().root, "artifacts");
    const received = new ReceivedFiles();
    expect(received.take(piece(1, "x"), root)).toBe("sent the files of a result in no order");
    received.take(piece(0, "x"), root);
    expect(received.take(piece(0, "x"), root)).toBe("sent more of a file that had ended");
  });

  it("that cannot be written here fail the step with the reason", () => {
    const received = new ReceivedFiles();
    expect(received.take(piece(0, "x"), "/proc/nowhere")).toBeUndefined();
    expect(() => received.adopt("a", staged("x"))).toThrow("its result could not be written here");
  });
});

describe("a bundle that other machines cannot run", () => {
  it.each([
    ['import x from "file:///home/me/node_modules/left-pad/index.js";', "the package left-pad"],
    ['const x = await import("file:///w/node_modules/@a/b/c.js");', "the package @a/b"],
    ['__require("/home/me/data.cjs")', "/home/me/data.cjs"],
    ['const require = createRequire("file:///home/me/a.ts");', "file:///home/me/a.ts"],
  ])("%s", (text, named) => {
    expect(farBundleFault(text)).toContain(
      `its code needs ${named}, which is on this machine only`,
    );
  });

  it("is none that imports Node's modules and orchd's", () => {
    const text = 'import { x } from "node:fs"; import y from "orchd"; const s = "file:///x";';
    expect(farBundleFault(text)).toBeUndefined();
  });
});

it.each(["", "{", "null", "[]", "{}", '{"sources":"x"}', '{"sources":null}'])(
  "a source map that is none goes as it is: %s",
  (text) => expect(farSourceMap(text, "/bundles")).toBe(text),
);

it("a source map names whole paths over there, and keeps all else", () => {
  const map = { version: 3, sources: ["../a.ts", null, "/b.ts"], mappings: "AAAA", own: [1] };
  expect(JSON.parse(farSourceMap(JSON.stringify(map), "/runs/bundles"))).toEqual({
    ...map,
    sources: ["/runs/a.ts", null, "/b.ts"],
  });
});

describe("a bundle that two roots have, of different files,", () => {
  /** A root of its own, and a daemon's messages from it into the one folder. */
  const rootOf = ({ sent, folder }: ReturnType<typeof bothEnds>, source: string) => {
    const bundles = tempRoot().root;
    writeFileSync(join(bundles, "code.mjs"), "export default 1;\n");
    const map = (mappings: string): void =>
      writeFileSync(join(bundles, "code.mjs.map"), JSON.stringify({ sources: [source], mappings }));
    map("AAAA");
    const started: Extract<ToRunner, { type: "start" }>[] = [];
    const tasks = new FarTasks({
      bundles,
      folder,
      files: sent,
      send: (message) => void (message.type === "start" && started.push(message)),
      ended: () => expect.fail("it could not be sent"),
    });
    /** Starts a task. @returns what its source map over there says */
    const start = async (): Promise<{ sources: string[]; mappings: string }> => {
      const count = started.length;
      tasks.take({ type: "start", id: `r@1#${count + 2}`, task: plainModule() });
      await expect.poll(() => started.length).toBe(count + 1);
      return read();
    };
    /** What the source map of its last task says. */
    const read = (): { sources: string[]; mappings: string } => {
      const { head, body } = started.at(-1)!;
      expect((JSON.parse(body) as ModuleTask).code.bundle).toBe(head.bundle);
      const path = join(folder, "bundles", `${head.bundle}.mjs`);
      expect(readFileSync(path, "utf8")).toMatch(/^export default 1;\n/);
      return JSON.parse(readFileSync(`${path}.map`, "utf8")) as never;
    };
    return { start, read, map };
  };

  it("has the source map of each root beside it, whoever came last", async () => {
    const far = bothEnds();
    const [one, other] = [rootOf(far, "/one/a.ts"), rootOf(bothEnds(undefined, far), "/two/a.ts")];
    expect((await one.start()).sources).toEqual(["/one/a.ts"]);
    expect((await other.start()).sources).toEqual(["/two/a.ts"]);
    expect(one.read().sources).toEqual(["/one/a.ts"]);
  });

  it("has the newest map of a root: a comment may move what stays the same", async () => {
    const root = rootOf(bothEnds(), "/one/a.ts");
    await root.start();
    root.map("AACA;");
    expect((await root.start()).mappings).toBe("AACA;");
  });
});

describe("files of a result, at their limits", () => {
  const take = (received: ReceivedFiles, more: object, folder: string): string | undefined =>
    received.take({ type: "piece", id: "r#1", file: 0, data: "", last: false, ...more }, folder);

  it("are 32 MiB, and no byte more", () => {
    const { root } = tempRoot();
    const received = new ReceivedFiles();
    const half = Buffer.alloc(16 * 1_048_576).toString("base64");
    expect(take(received, { data: half }, root)).toBeUndefined();
    expect(take(received, { data: half }, root)).toBeUndefined();
    expect(take(received, { data: base64("x") }, root)).toBe(
      "sent a result that is longer than 32 MiB",
    );
  });

  it("come one after the other, 1,024 at most, and nothing after the end of each", () => {
    const { root } = tempRoot();
    const received = new ReceivedFiles();
    expect(take(received, { file: 1 }, root)).toBe("sent the files of a result in no order");
    for (let file = 0; file < 1_024; file += 1)
      expect(take(received, { file, last: true }, root)).toBeUndefined();
    expect(take(received, { file: 1_024, last: true }, root)).toBe(
      "sent the files of a result in no order",
    );
    expect(take(received, { file: 1_023 }, root)).toBe("sent more of a file that had ended");
    expect(take(received, { file: 5 }, root)).toBe("sent the files of a result in no order");
  });
});

describe("the pieces of a file", () => {
  const sizes = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 5];
  const ways: readonly [string, object][] = [
    ["as it is", { hash: "" }],
    ["read before, for its hash", {}],
    ["with another text", { sentAs: (text: string) => text.replaceAll("x", "y") }],
  ];
  const cases = ways.flatMap(([way, more]) => sizes.map((size) => [size, way, more] as const));
  it.each(cases)("of %i bytes are whole but for the last, %s", async (size, _, more) => {
    const path = join(tempRoot().root, "code.mjs");
    writeFileSync(path, "x".repeat(size));
    const { sent, said, folder } = bothEnds();
    const file = { name: "bundles/code.mjs", path, ...more };
    if ("hash" in more) Object.assign(file, { hash: sha("x".repeat(size)) });
    await sent.ensure([file]);
    const puts = said.flatMap((message) => (message.type === "put" ? [message] : []));
    const whole = Math.floor(size / PIECE_BYTES);
    // The last one is shorter than a whole one: where nothing is left, it is empty.
    expect(puts.map(({ data }) => Buffer.from(data, "base64").length)).toEqual([
      ...Array.from({ length: whole }, () => PIECE_BYTES),
      size - whole * PIECE_BYTES,
    ]);
    expect(puts.map(({ last }) => last)).toEqual(puts.map((put) => put === puts.at(-1)));
    const letter = "sentAs" in more ? "y" : "x";
    expect(readFileSync(join(folder, file.name), "utf8")).toBe(letter.repeat(size));
  });

  it("wait until the wire has taken the one before, and files for each other", async () => {
    const { root } = tempRoot();
    const said: string[] = [];
    const waits: (() => void)[] = [];
    const sent: SentFiles = new SentFiles({
      write: (message) => {
        if (message.type === "need")
          queueMicrotask(() => sent.hear({ type: "lacks", name: message.name }));
        if (message.type !== "put") return;
        said.push(message.name);
        if (message.last) queueMicrotask(() => sent.hear({ type: "has", name: message.name }));
      },
      drained: () => new Promise((resolve) => waits.push(resolve)),
    });
    const files = ["a", "b"].map((name) => {
      const path = join(root, name);
      writeFileSync(path, "x".repeat(PIECE_BYTES + 1));
      return { name, path, hash: sha("x") };
    });
    const all = sent.ensure(files);
    for (const expected of [["a"], ["a", "a", "b"]]) {
      await expect.poll(() => [said.length, waits.length]).toEqual([expected.length, 1]);
      expect(said).toEqual(expected);
      waits.pop()!();
    }
    await all;
    expect(said).toEqual(["a", "a", "b", "b"]);
  });
});
