/** What each durable change asks of the disk, in which order, one call after the other. */
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { writeFileAtomically } from "../../src/disk/atomic-file.ts";
import { Artifacts } from "../../src/ledger/artifacts.ts";
import { createLedger } from "../../src/ledger/ledger-creation.ts";
import { LedgerBlocked } from "../../src/ledger/ledger-error.ts";
import type { LedgerHost } from "../../src/ledger/ledger-host.ts";
import { systemDisk, type Disk } from "../../src/disk/disk.ts";
import { keepExportPosition } from "../../src/ledger/export-position.ts";
import { removeRequest, writeReply, writeRequest } from "../../src/ledger/requests.ts";
import { RunStore } from "../../src/ledger/run-store.ts";
import { calm } from "../ledger/sample-ledgers.ts";
import { tempRoot } from "../support/temp-root.ts";
import { traceDisk, type DiskTrace } from "../support/traced-disk.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A folder whose own name is durable. */
function folderOf(name = "folder"): string {
  const folder = join(tempRoot().root, name);
  mkdirSync(folder);
  return folder;
}

/** The calls of an act. It waits for each of them before it says that it is done. */
async function callsOf(
  act: () => Promise<unknown>,
  prepare: (trace: DiskTrace) => void = () => undefined,
): Promise<string[]> {
  const trace = traceDisk();
  prepare(trace);
  try {
    await act();
  } finally {
    expect([...trace.underWay]).toEqual([]);
    // Nor is a descriptor left, whatever failed, unless that ends the daemon.
    if (trace.failing?.call !== "sync folder") expect([...trace.open.values()]).toEqual([]);
  }
  return trace.calls;
}

const WRITTEN = [
  "create .a.json",
  "write .a.json",
  "datasync .a.json",
  "rename .a.json a.json",
  "sync folder",
];

it("a file is written aside, synced, renamed, and then its folder is synced", async () => {
  const folder = folderOf();
  const first = await callsOf(() => writeFileAtomically(join(folder, "a.json"), "one"));
  expect(first.slice(2)).toEqual(WRITTEN);
  expect(first.slice(0, 2)).toEqual(["mkdir folder", expect.stringMatching(/^sync /)]);
  expect(readFileSync(join(folder, "a.json"), "utf8")).toBe("one");
});

it("a second file in a folder costs no sync of the folder above", async () => {
  const folder = folderOf();
  await writeFileAtomically(join(folder, "a.json"), "one");
  expect(await callsOf(() => writeFileAtomically(join(folder, "a.json"), "two"))).toEqual(WRITTEN);
  expect(readFileSync(join(folder, "a.json"), "utf8")).toBe("two");
});

it.each(["write .a.json", "datasync .a.json", "rename .a.json a.json", "chmod .a.json 600"])(
  "where %s fails, the old file stays and nothing is left aside",
  async (call) => {
    const folder = folderOf();
    await writeFileAtomically(join(folder, "a.json"), "one");
    const calls = callsOf(
      () =>
        expect(
          writeFileAtomically(join(folder, "a.json"), "two", { mode: 0o600, exactly: true }),
        ).rejects.toMatchObject({ code: "ENOSPC" }),
      (trace) => (trace.failing = { call, code: "ENOSPC" }),
    );
    expect((await calls).slice(-2)).toEqual([call, "unlink .a.json"]);
    expect(readdirSync(folder)).toEqual(["a.json"]);
    expect(readFileSync(join(folder, "a.json"), "utf8")).toBe("one");
  },
);

it("a mode that is asked for exactly is set whatever the umask, any other below it", async () => {
  const folder = folderOf();
  const before = process.umask(0o077);
  onTestFinished(() => void process.umask(before));
  await writeFileAtomically(join(folder, "own"), "x");
  await writeFileAtomically(join(folder, "given"), "x", { mode: 0o644 });
  await writeFileAtomically(join(folder, "exact"), "x", { mode: 0o644, exactly: true });
  const modeOf = (name: string): number => statSync(join(folder, name)).mode & 0o777;
  expect([modeOf("own"), modeOf("given"), modeOf("exact")]).toEqual([0o600, 0o600, 0o644]);
  process.umask(0);
  await writeFileAtomically(join(folder, "open"), "x");
  expect(modeOf("open")).toBe(0o640);
});

it("a request and its reply may be read by all, whatever the umask of their writer", async () => {
  const { runs } = tempRoot();
  const store = new RunStore(runs);
  const before = process.umask(0o077);
  onTestFinished(() => void process.umask(before));
  await writeRequest(runs, { type: "rescan" } as never, { id: "r" });
  await writeReply(runs, "r", { ok: true } as never);
  const modeOf = (folder: string): number => statSync(join(folder, "r.json")).mode & 0o777;
  expect([modeOf(store.requests), modeOf(store.replies)]).toEqual([0o644, 0o644]);
});

it("a request leaves its folder durably, and a folder in its place is moved away", async () => {
  const { runs } = tempRoot();
  const { requests } = new RunStore(runs);
  await writeRequest(runs, { type: "rescan" } as never, { id: "r" });
  expect(await callsOf(() => removeRequest(runs, "r"))).toEqual(["unlink r.json", "sync requests"]);
  expect(await callsOf(() => removeRequest(runs, "r"))).toEqual(["unlink r.json"]);
  mkdirSync(join(requests, "f.json"));
  expect(await callsOf(() => removeRequest(runs, "f"))).toEqual([
    "unlink f.json",
    expect.stringMatching(/^rename f\.json \.f\.[0-9a-f]{8}$/),
    "sync requests",
  ]);
});

/** A host, and what was fatal to it. */
function fatalHost(): { readonly told: string[]; readonly host: LedgerHost } {
  const told: string[] = [];
  return { told, host: calm({ onFatal: (error) => void told.push(error.message) }) };
}

const created = (locked: boolean, keepAs?: string) => ({
  bytes: Buffer.from("line\n"),
  locked,
  keepAs,
});

it("a ledger has its name once it is whole and synced, and then its folder is synced", async () => {
  const folder = folderOf();
  const path = join(folder, "a.jsonl");
  const calls = await callsOf(async () =>
    systemDisk.close(await createLedger(path, created(true), calm())),
  );
  expect(calls).toEqual([
    "mkdir folder",
    expect.stringMatching(/^sync /),
    "create .a.jsonl",
    "write .a.jsonl",
    "datasync .a.jsonl",
    "link .a.jsonl a.jsonl",
    "unlink .a.jsonl",
    // Nothing is durable by the name aside: it goes while the folder is synced.
    "beside sync folder",
  ]);
});

it("ledgers that are made together in a folder leave no descriptor of it open", async () => {
  const folder = folderOf();
  const paths = ["a", "b", "c", "d"].map((name) => join(folder, `${name}.jsonl`));
  const calls = await callsOf(async () => {
    const fds = paths.map((path) => createLedger(path, created(false), calm()));
    for (const fd of await Promise.all(fds)) await systemDisk.close(fd);
  });
  expect(calls.filter((call) => call.endsWith("sync folder")).length).toBeLessThan(4);
  expect(readdirSync(folder).toSorted()).toEqual(["a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"]);
});

it("a folder that could not be opened ahead of its sync is opened then", async () => {
  const folder = folderOf();
  let asked = 0;
  const disk: Disk = {
    ...systemDisk,
    open: (path, flags, mode) =>
      path === folder && (asked += 1) === 1
        ? Promise.reject(Object.assign(new Error("no"), { code: "EMFILE" }))
        : systemDisk.open(path, flags, mode),
  };
  const path = join(folder, "a.jsonl");
  await systemDisk.close(await createLedger(path, created(true), calm({ disk })));
  expect(asked).toBe(2);
  expect(readdirSync(folder)).toEqual(["a.jsonl"]);
});

it("a ledger that replaces another keeps the old one under a second name first", async () => {
  const folder = folderOf();
  const [path, old] = [join(folder, "a.jsonl"), join(folder, "old.jsonl")];
  await systemDisk.close(await createLedger(path, created(false), calm()));
  const calls = await callsOf(async () =>
    systemDisk.close(await createLedger(path, created(false, old), calm())),
  );
  expect(calls).toEqual([
    "create .a.jsonl",
    "write .a.jsonl",
    "datasync .a.jsonl",
    "link a.jsonl old.jsonl",
    "rename .a.jsonl a.jsonl",
    "sync folder",
  ]);
  // A try that a crash cut has given that name already.
  await systemDisk.close(await createLedger(path, created(false, old), calm()));
  expect(readdirSync(folder).toSorted()).toEqual(["a.jsonl", "old.jsonl"]);
});

it.each(["write .a.jsonl", "datasync .a.jsonl", "link .a.jsonl a.jsonl"])(
  "where %s fails, no ledger has its name and nothing is left aside",
  async (call) => {
    const folder = folderOf();
    const { told, host } = fatalHost();
    const calls = await callsOf(
      () =>
        expect(createLedger(join(folder, "a.jsonl"), created(false), host)).rejects.toThrow(
          "Creating",
        ),
      (trace) => (trace.failing = { call, code: "EIO" }),
    );
    expect(calls.slice(-2)).toEqual([call, "unlink .a.jsonl"]);
    expect(readdirSync(folder)).toEqual([]);
    expect(told).toEqual([expect.stringMatching(/^Creating /)]);
  },
);

it("where the old ledger gets no second name, it stays as it is", async () => {
  const folder = folderOf();
  const [path, old] = [join(folder, "a.jsonl"), join(folder, "old.jsonl")];
  await systemDisk.close(await createLedger(path, created(false), calm()));
  const { told, host } = fatalHost();
  const creation = { ...created(false, old), bytes: Buffer.from("another\n") };
  const calls = await callsOf(
    () => expect(createLedger(path, creation, host)).rejects.toThrow("Creating"),
    (trace) => (trace.failing = { call: "link a.jsonl old.jsonl", code: "EIO" }),
  );
  expect(calls.slice(-2)).toEqual(["link a.jsonl old.jsonl", "unlink .a.jsonl"]);
  expect(readdirSync(folder)).toEqual(["a.jsonl"]);
  expect(readFileSync(path, "utf8")).toBe("line\n");
  expect(told).toEqual([expect.stringMatching(/^Creating /)]);
});

it("a ledger whose name cannot be synced is fatal, for that may be lost", async () => {
  const folder = folderOf();
  const { told, host } = fatalHost();
  await callsOf(
    () =>
      expect(createLedger(join(folder, "a.jsonl"), created(false), host)).rejects.toThrow(
        "Syncing",
      ),
    (trace) => (trace.failing = { call: "sync folder", code: "EIO" }),
  );
  expect(told).toEqual([expect.stringMatching(/^Syncing .*folder/)]);
});

it.each<[string, string | undefined, readonly string[]]>([
  ["a new ledger gives its name back", undefined, []],
  ["a ledger that replaces another stays, and so does the other", "old", ["a.jsonl", "old.jsonl"]],
])("in a folder that may not be opened %s, and no descriptor is left", async (_, old, names) => {
  const folder = folderOf();
  const path = join(folder, "a.jsonl");
  if (old !== undefined) await systemDisk.close(await createLedger(path, created(false), calm()));
  const open = new Set<number>();
  const disk: Disk = {
    ...systemDisk,
    async open(name, flags, mode) {
      if (name === folder) throw Object.assign(new Error("no"), { code: "EACCES" });
      const fd = await systemDisk.open(name, flags, mode);
      open.add(fd);
      return fd;
    },
    async close(fd) {
      await systemDisk.close(fd);
      open.delete(fd);
    },
  };
  const { told, host } = fatalHost();
  const keepAs = old === undefined ? undefined : join(folder, `${old}.jsonl`);
  await expect(createLedger(path, created(true, keepAs), { ...host, disk })).rejects.toThrow(
    LedgerBlocked,
  );
  expect([...open]).toEqual([]);
  expect(readdirSync(folder).toSorted()).toEqual(names);
  expect(told).toEqual([]);
});

it("an artifact is durable, and one that is there is not written again", async () => {
  const artifacts = new Artifacts(folderOf("artifacts"));
  const calls = await callsOf(async () => {
    await artifacts.put([1]);
  });
  expect(calls.slice(2).map((call) => call.replaceAll(/[0-9a-f]{64}/g, "SHA"))).toEqual([
    "create .SHA",
    "write .SHA",
    "datasync .SHA",
    "rename .SHA SHA",
    "sync artifacts",
  ]);
  // The names that are there are synced once: an earlier process may have died before it did.
  expect(await callsOf(() => artifacts.put([1]))).toEqual(["sync artifacts"]);
  expect(await callsOf(() => artifacts.put([1]))).toEqual([]);
});

it("a file that a runner wrote is synced before it has its name, its folder after", async () => {
  const folder = folderOf("artifacts");
  const artifacts = new Artifacts(folder);
  const ref = await artifacts.put({ a: 1 });
  const staged = join(folderOf("staged"), "one");
  writeFileSync(staged, JSON.stringify({ a: 1 }));
  const sha = ref.$artifact;
  expect(await callsOf(() => artifacts.adopt({ ref, file: staged }))).toEqual([
    "datasync one",
    `rename staged/one artifacts/${sha}`,
    "sync artifacts",
  ]);
});

it("an artifact that is used again is young again", async () => {
  const artifacts = new Artifacts(folderOf("artifacts"));
  const ref = await artifacts.put([1]);
  const path = artifacts.path(ref);
  const uses: (() => unknown)[] = [() => artifacts.put([1]), () => artifacts.hold(ref)];
  for (const use of uses) {
    utimesSync(path, 1, 1);
    await use();
    expect(statSync(path).mtimeMs).toBeGreaterThan(Date.now() - 60_000);
  }
});

it("the position of an export is durable", async () => {
  const store = new RunStore(tempRoot().runs);
  mkdirSync(store.orchdDir, { recursive: true });
  const keep = (): Promise<void> => keepExportPosition(store, "p", new VirtualClock());
  await keep();
  expect(await callsOf(keep)).toEqual([
    "create .otlp.json",
    "write .otlp.json",
    "datasync .otlp.json",
    "rename .otlp.json otlp.json",
    "sync .orchd",
  ]);
});
