/** The page's socket: who may use it, and whose name it takes. */
import { existsSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { listenOnSocket } from "../../src/page/server/unix-socket.ts";
import { tempRoot } from "../support/temp-root.ts";

const USED = "end it first, or name another place with --listen";

function server(): Server {
  const made = createServer();
  onTestFinished(() => void made.close());
  return made;
}

/** A socket that a page left as it was killed: its name is there, and nobody listens. */
async function leftOver(path: string): Promise<number> {
  const dead = server();
  await listenOnSocket(dead, `${path}.dead`);
  // Node removes the name that it bound, so it gets another one first.
  renameSync(`${path}.dead`, path);
  await new Promise((resolve) => dead.close(resolve));
  return statSync(path).ino;
}

it("is for its owner and its group, in a folder that is made, and the umask stays", async () => {
  const path = join(tempRoot().root, "a/b/page.sock");
  const before = process.umask(0o002);
  expect(await listenOnSocket(server(), path)).toEqual({ ok: true, replaced: false });
  expect(process.umask(before)).toBe(0o002);
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect(statSync(join(path, "..")).mode & 0o777).toBe(0o750);
});

it("takes the name of one that was left, and leaves nothing aside", async () => {
  const { root } = tempRoot();
  const path = join(root, "page.sock");
  const inode = await leftOver(path);
  expect(await listenOnSocket(server(), path)).toEqual({ ok: true, replaced: true });
  expect(statSync(path).isSocket()).toBe(true);
  expect(inode).toBeGreaterThan(0);
  expect(readdirSync(root).filter((name) => name.startsWith("."))).toEqual([]);
});

it("leaves the name of one that answers alone", async () => {
  const path = join(tempRoot().root, "page.sock");
  const first = server();
  await listenOnSocket(first, path);
  const { ino } = statSync(path);
  expect(await listenOnSocket(server(), path)).toEqual({
    ok: false,
    because: `a page serves on ${path} already; ${USED}`,
  });
  expect([statSync(path).ino, first.listening]).toEqual([ino, true]);
});

it("is told why it cannot be made: what is there, and no folder", async () => {
  const { root } = tempRoot();
  const file = join(root, "file");
  writeFileSync(file, "mine");
  expect(await listenOnSocket(server(), file)).toEqual({
    ok: false,
    because: `${file} is there and is no socket; name another, or remove it`,
  });
  const below = join(file, "deep/page.sock");
  expect(await listenOnSocket(server(), below)).toEqual({
    ok: false,
    because: `${below} cannot be made (ENOTDIR); name another socket`,
  });
  expect(existsSync(file)).toBe(true);
});
