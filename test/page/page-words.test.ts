/** Why a page does not start: each sentence with its exit status. */
import { chmodSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";
import { runPage } from "../../daemon/page.ts";
import { tempRoot } from "../support/temp-root.ts";

const NONE = "/nowhere/tokens";

async function refused(more: object): Promise<[number, string]> {
  const made = tempRoot();
  const said: string[] = [];
  const status = await runPage({
    root: made.root,
    schedules: made.schedules,
    runs: made.runs,
    listen: "127.0.0.1:0",
    allowRequests: false,
    tokenFile: undefined,
    trustProxy: false,
    base: undefined,
    serves: () => {
      throw new Error("it serves");
    },
    tell: (sentence) => void said.push(sentence),
    ...more,
  });
  return [status, said.join(" ")];
}

it.each([
  [
    "nowhere",
    '--listen: "nowhere" is no address; write HOST:PORT, as 127.0.0.1:4114, or unix:PATH.',
  ],
  [
    "h:65536",
    '--listen: "h:65536" is no address; write HOST:PORT, as 127.0.0.1:4114, or unix:PATH.',
  ],
  ["unix:", "--listen: unix: needs the path of a socket, as unix:/run/orchd.sock."],
  [
    `unix:/${"x".repeat(107)}`,
    "--listen: a socket's path has at most 107 bytes; name a shorter one.",
  ],
  [
    "0.0.0.0:80",
    "0.0.0.0:80 can be reached from other machines; name the tokens with --token-file, " +
      "or put a proxy that knows its users before it and say --trust-proxy.",
  ],
])("at %s it exits 2: %s", async (listen, sentence) => {
  expect(await refused({ listen })).toEqual([2, sentence]);
});

it.each(["orchd", "/a/", "/a//b", "/a/../b", "/.", "/a/..", "//", "/a b", "/ü", ""])(
  "below %j it exits 2",
  async (base) => {
    expect(await refused({ base, tokenFile: NONE })).toEqual([
      2,
      base === ""
        ? expect.stringContaining(NONE)
        : `--base: ${JSON.stringify(base)} is no path; write it like /orchd.`,
    ]);
  },
);

// With a path that can be, the next fault is told.
it.each([undefined, "/", "/orchd", "/a/b.c", "/..a/.b"])("below %j it may serve", async (base) => {
  const [status, sentence] = await refused({ base, tokenFile: NONE });
  expect([status, sentence.includes(NONE)]).toEqual([2, true]);
});

it("a token file that others may read is refused as it was asked for: exit 2", async () => {
  const file = join(tempRoot().root, "tokens");
  writeFileSync(file, `read ${"a".repeat(40)}\n`);
  chmodSync(file, 0o644);
  const [status, sentence] = await refused({ tokenFile: file });
  expect([status, sentence.includes(file)]).toEqual([2, true]);
});

it("a port that another program has exits 1", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.on("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const [status, sentence] = await refused({ listen: `127.0.0.1:${port}` });
  other.close();
  expect([status, sentence.includes(String(port))]).toEqual([1, true]);
});
