/** What of orchd is on another machine: old packages go, and no daemon loses what it uses. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { TOKEN_VARIABLE } from "../../../src/core/task.ts";
import { takeHost } from "../../../src/places/ssh/far-side.ts";
import { removeOldPackages } from "../../../src/places/ssh/old-packages.ts";
import { tempRoot } from "../../support/temp-root.ts";

const DAY_S = 86_400;
let made = 0;

/** The id of a package that was put there so many days ago. */
function packageIn(folder: string, days: number, name = ""): string {
  made += 1;
  const id = name === "" ? `0.1.${made}-${made.toString(16).padStart(16, "0")}` : name;
  mkdirSync(join(folder, id, "node_modules"), { recursive: true });
  const at = Date.now() / 1_000 - days * DAY_S;
  utimesSync(join(folder, id), at, at);
  return id;
}

/** A process that lives until the test is over. */
async function living(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  const child = spawn("/bin/sh", ["-c", "echo up; read -r line", ...words], { env });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child.pid!;
}

it("removes old packages with their files, but those that came last or are in use", async () => {
  const folder = join(tempRoot().root, "far");
  const own = packageIn(folder, 90);
  const [newest, second] = [packageIn(folder, 2), packageIn(folder, 3)];
  const [named, running, gone] = [5, 6, 7].map((days) => packageIn(folder, days));
  const others = ["notes", "0.1.0", "my-0123456789abcdef"];
  for (const name of others) packageIn(folder, 99, name);
  for (const name of [".new-1-2", ".old-0.1.0-1"]) packageIn(folder, 2, name);
  packageIn(folder, 0, ".new-3-4");
  for (const id of [own, gone!, "0.0.1-00000000000000ff", "notes"])
    mkdirSync(join(folder, "files", id), { recursive: true });
  mkdirSync(join(folder, "roots", "one"), { recursive: true });
  writeFileSync(join(folder, "roots", "one", "package"), named!);
  await living([join(folder, running!, "runner.js")]);
  expect(removeOldPackages(folder, own)).toEqual([gone]);
  const left = [own, newest, second, named, running, ...others, ".new-3-4", "files", "roots"];
  expect(new Set(readdirSync(folder))).toEqual(new Set(left));
  expect(new Set(readdirSync(join(folder, "files")))).toEqual(new Set([own, "notes"]));
  expect(removeOldPackages(folder, own)).toEqual([]);
});

it("removes none within a day: its daemon may not have come yet", () => {
  const folder = join(tempRoot().root, "far");
  const ids = [1, 2, 3, 4].map(() => packageIn(folder, 0.9));
  expect(removeOldPackages(folder, ids[0]!)).toEqual([]);
  expect(removeOldPackages(join(folder, "nowhere"), ids[0]!)).toEqual([]);
});

it("knows a newest daemon's package, and lets an earlier one end its own alone", async () => {
  const folder = join(tempRoot().root, "far");
  const root = (epoch: number) => ({ folder, token: "orchd-far-test", epoch });
  const used = (): string => readFileSync(join(folder, "roots/orchd-far-test/package"), "utf8");
  await takeHost(root(1), [], "old");
  expect(used()).toBe("old");
  await takeHost(root(2), [], "new");
  const token = (text: string): NodeJS.ProcessEnv => ({ [TOKEN_VARIABLE]: text });
  const [earlier, later, tenth] = [
    await living([], token("orchd-far-test.1.7")),
    await living([], token("orchd-far-test.2.1")),
    await living([], token("orchd-far-test.10.1")),
  ];
  const asked = ["orchd-far-test", "orchd-far-test.1.7"];
  expect(await takeHost(root(1), asked, "old")).toMatchObject({ ended: 1, isOver: true });
  expect(used()).toBe("new");
  const lives = (pid: number): boolean =>
    existsSync(`/proc/${pid}`) && !/State:\tZ/.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  expect([earlier, later, tenth].map(lives)).toEqual([false, true, true]);
});
