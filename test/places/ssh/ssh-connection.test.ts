/** The shared connection of a place over SSH, with a client that a test plays, in virtual time. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { mkdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import type { SshPlaceSettings } from "../../../src/core/place-settings.ts";
import { SshConnection, type ConnectionState } from "../../../src/places/ssh/ssh-connection.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** A connection whose client is `script`, with its last word, the host's command, in `$last`. */
function played(script: string) {
  const { root, write } = tempRoot({});
  write("bin/ssh", `#!/bin/sh\necho start >>"${root}/starts"\nfor last; do :; done\n${script}\n`);
  chmodSync(join(root, "bin/ssh"), 0o755);
  vi.stubEnv("PATH", `${join(root, "bin")}${delimiter}${process.env["PATH"]}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  const clock = new VirtualClock();
  const heard: ConnectionState[] = [];
  const waiting: (() => void)[] = [];
  /** Resolves at the next change. */
  const next = (): Promise<void> => new Promise((resolve) => void waiting.push(resolve));
  const connection = new SshConnection({
    clock,
    settings: { host: "far" } as SshPlaceSettings,
    onState: (state) => {
      heard.push(state);
      for (const each of waiting.splice(0)) each();
    },
  });
  onTestFinished(() => connection.close());
  return {
    clock,
    connection,
    heard,
    root,
    kinds: () => heard.map(({ kind }) => kind),
    starts: () => readFileSync(join(root, "starts"), "utf8").split("\n").length - 1,
    next,
    /** Resolves when it is so. */
    async until(kind: ConnectionState["kind"]): Promise<ConnectionState> {
      while (connection.state.kind !== kind) await next();
      return connection.state;
    },
  };
}

/** The account runs the connection's own command. */
const WELL = 'exec /bin/sh -c "$last"';

it("a socket's folder is in /tmp where the runtime folder has too many bytes", async () => {
  const long = mkdtempSync(join(tmpdir(), "ü".repeat(25)));
  onTestFinished(() => rmSync(long, { recursive: true, force: true }));
  const { connection, until } = played(WELL);
  vi.stubEnv("RUNTIME_DIRECTORY", long);
  connection.open();
  await until("up");
  expect(connection.words("true").join("\n")).toMatch(/ControlPath="?\/tmp\/orchd-ssh-/);
});

it("a connection that was closed stays closed, and its socket's folder goes", async () => {
  const { connection, until, kinds, starts, clock } = played(WELL);
  connection.open();
  await until("up");
  const folder = folderOf(connection);
  expect(existsSync(folder)).toBe(true);
  await connection.close();
  expect(existsSync(folder)).toBe(false);
  // A timer of the system's clock would hold the process up.
  expect(clock.timers).toBe(0);
  connection.open();
  await clock.advance(120_000);
  expect([starts(), kinds()]).toEqual([1, ["connecting", "up"]]);
});

/** The folder of its socket. */
function folderOf(connection: SshConnection): string {
  return /ControlPath="?([^"\n]*)\/s"?\n/.exec(connection.words("true").join("\n"))![1]!;
}

it.each<[string, (folder: string) => void]>([
  ["is gone", () => undefined],
  ["is another's link", (folder) => symlinkSync(tmpdir(), folder)],
  ["is a file", (folder) => writeFileSync(folder, "")],
  [
    "is another user's",
    (folder) => {
      mkdirSync(folder);
      const own = vi.spyOn(process, "geteuid").mockReturnValue(statSync(folder).uid + 1);
      onTestFinished(() => own.mockRestore());
    },
  ],
])("connects again where its socket's folder %s", async (_, put) => {
  const { connection, until, clock } = played(
    `case $(wc -l <"$(dirname "$(dirname "$0")")/starts") in 1) exit 255;; esac; ${WELL}`,
  );
  connection.open();
  await until("down");
  const before = folderOf(connection);
  onTestFinished(() => rmSync(before, { recursive: true, force: true }));
  rmSync(before, { recursive: true });
  put(before);
  await clock.advance(1_000);
  await until("up");
  const folder = folderOf(connection);
  expect(folder).not.toBe(before);
  expect(statSync(folder).isDirectory()).toBe(true);
  await connection.close();
  expect(existsSync(folder)).toBe(false);
});

it("keeps its socket's folder from one connection to the next", async () => {
  const { connection, until, clock } = played(
    `case $(wc -l <"$(dirname "$(dirname "$0")")/starts") in 1) exit 255;; esac; ${WELL}`,
  );
  connection.open();
  await until("down");
  const before = folderOf(connection);
  await clock.advance(1_000);
  await until("up");
  expect(folderOf(connection)).toBe(before);
});

it("a connection that is closed while it rests does not connect again", async () => {
  const { connection, until, kinds, starts, clock } = played("echo 'no route' >&2; exit 255");
  connection.open();
  await until("down");
  await connection.close();
  expect(clock.timers).toBe(0);
  await clock.advance(120_000);
  expect([starts(), kinds()]).toEqual([1, ["connecting", "down"]]);
});

it("rests for a second, then twice as long each time, half a minute at most", async () => {
  const { connection, until, next, heard, starts, clock } = played("echo 'no route' >&2; exit 255");
  connection.open();
  await until("down");
  const BECAUSE = "far cannot be used: no route";
  let made = 1;
  for (const rest of [1, 2, 4, 8, 16, 30, 30]) {
    await clock.advance(rest * 1_000 - 1);
    expect([rest, connection.state.kind]).toEqual([rest, "down"]);
    const before = heard.length;
    await clock.advance(1);
    while (heard.length < before + 2) await next();
    expect(heard.slice(before)).toEqual([
      { kind: "connecting", because: BECAUSE },
      { kind: "down", because: BECAUSE },
    ]);
    expect(starts()).toBe((made += 1));
  }
});

it("is up once the account has run its command, whatever a shell says before", async () => {
  const { connection, until, heard } = played(`echo greeting; echo xorchd-connected; ${WELL}`);
  connection.open();
  expect(await until("up")).toEqual({ kind: "up" });
  expect(heard).toHaveLength(2);
  // A second call while it is open changes nothing.
  connection.open();
  expect(heard).toHaveLength(2);
});

it("says why it is not up: the client's words, or what the account did", async () => {
  for (const [script, because] of [
    ["echo 'This account is for mail.'; exit 1", /runs no commands on far: This account is for/],
    ["exit 7", /^the account runs no commands on far$/],
    ["echo 'ssh: no route' >&2; exit 255", /no route/],
  ] as const) {
    const { connection, until } = played(script);
    connection.open();
    expect(await until("down")).toMatchObject({ because: expect.stringMatching(because) });
  }
});

it("one that never answers is ended after its time, and one that answered is not", async () => {
  const silent = played("exec sleep 100");
  silent.connection.open();
  await silent.clock.advance(20_000);
  expect(await silent.until("down")).toMatchObject({
    because: expect.stringContaining("it did not answer within 20 s"),
  });
  const broken = played("echo orchd-connected; read -r line; echo bye >&2; exit 255");
  broken.connection.open();
  await broken.until("up");
  // Nothing of it waits for an answer any more.
  await broken.clock.advance(60_000);
  expect(broken.kinds()).toEqual(["connecting", "up"]);
});

it("a command that does not end is ended with its time, and its words are kept", async () => {
  const { connection, clock } = played('exec /bin/sh -c "$last"');
  expect(await connection.ask("cat; echo err >&2; exit 3", "in")).toEqual({
    status: 3,
    stdout: "in",
    stderr: "err\n",
  });
  const late = connection.ask("exec sleep 100", "", 5_000);
  await clock.advance(4_999);
  await clock.advance(1);
  expect(await late).toEqual({
    status: null,
    stdout: "",
    stderr: "\nit did not answer within 5 s",
  });
});

it("rests for a second again after it was up", async () => {
  const started = '$(wc -l <"$(dirname "$(dirname "$0")")/starts")';
  const { connection, until, next, heard, starts, clock } = played(
    `case ${started} in 4) echo orchd-connected;; esac; exit 255`,
  );
  connection.open();
  await until("down");
  for (const rest of [1, 2, 4]) {
    const before = heard.length;
    await clock.advance(rest * 1_000);
    while (heard.length < before + 2) await next();
  }
  await until("down");
  expect(heard.slice(-2)).toEqual([
    { kind: "up" },
    { kind: "down", because: "the connection to far broke" },
  ]);
  await clock.advance(999);
  expect(starts()).toBe(4);
  await clock.advance(1);
  expect(heard.at(-1)).toEqual({ kind: "connecting", because: "the connection to far broke" });
});

it.each([
  ["printf orchd-connected; exit 7", /^the account runs no commands on far: orchd-connected$/],
  ["kill -KILL $$", /^(?!the account runs no commands)/],
])("by %s it is not up, and says so", async (script, because) => {
  const { connection, until, kinds } = played(script);
  connection.open();
  expect(await until("down")).toMatchObject({
    because: expect.stringMatching(because) as string,
  });
  expect(kinds()).toEqual(["connecting", "down"]);
});

it("a client that does not heed its end is ended a second later", async () => {
  const { connection, until, clock } = played(
    "trap '' TERM; echo orchd-connected; while :; do read -r line || exec 0</dev/null; done",
  );
  connection.open();
  await until("up");
  let isClosed = false;
  const closed = connection.close().then(() => (isClosed = true));
  await clock.advance(999);
  expect(isClosed).toBe(false);
  await clock.advance(1);
  await closed;
  expect(clock.timers).toBe(0);
});

it("of a command that says much the end is kept", async () => {
  const { connection } = played('exec /bin/sh -c "$last"');
  const { stdout, stderr } = await connection.ask(
    "head -c 20000 /dev/zero | tr '\\0' x; echo END; seq 1 5000 >&2",
  );
  expect([stdout.length, stderr.length]).toEqual([16_384, 16_384]);
  expect([stdout.slice(-5), stderr.slice(-5)]).toEqual(["xEND\n", "5000\n"]);
});
