/** What a command says of an error that it did not expect, by the error's code. */
import { afterEach, expect, it, vi } from "vitest";
import { guarded } from "../../src/cli/entry.ts";
import { CliError } from "../../src/cli/exit.ts";

afterEach(() => void vi.restoreAllMocks());

/** The sentence and the status of a command that throws. */
async function told(thrown: unknown): Promise<[string, number]> {
  let text = "";
  vi.spyOn(process.stderr, "write").mockImplementation((part) => {
    text += String(part);
    return true;
  });
  const status = await guarded(() => Promise.reject(thrown));
  return [text.replaceAll(/\u001b\[\d+m/g, ""), status];
}
const failed = (code: string, more: object = {}): Error =>
  Object.assign(new Error(`${code}: no, open '/x'`), {
    code,
    syscall: "open",
    path: "/x",
    ...more,
  });

const RIGHTS = "; run the command as a user who may read and write the project's folders.";
const ROOM = "; make room on that disk, or name a folder on another with --runs.";
const MOUNT =
  "; its file system is read-only: mount it for writing, or name another folder with --runs or " +
  "--root.";

it.each<[string, string]>([
  ["EACCES", RIGHTS],
  ["EPERM", RIGHTS],
  ["ENOSPC", ROOM],
  ["EDQUOT", ROOM],
  ["EROFS", MOUNT],
  ["EIO", "; the disk reports a fault: see the kernel's log (`dmesg`) for which."],
  ["ENXIO", ""],
])("%s", async (code, advice) => {
  expect(await told(failed(code))).toEqual([`orchd: ${code}: no, open '/x'${advice}\n`, 1]);
});

it("of a sync, which has EIO whatever failed, says what failed", async () => {
  const cause = failed("EROFS", { syscall: "fsync" });
  expect(await told(failed("EIO", { cause }))).toEqual([`orchd: EIO: no, open '/x'${MOUNT}\n`, 1]);
});

it("of a lack of descriptors says the same for both of its codes", async () => {
  const [sentence, status] = await told(failed("EMFILE"));
  expect(sentence).toMatch(
    /^orchd: this process may open no further file \(EMFILE\); raise the limit/,
  );
  expect(await told(failed("ENFILE"))).toEqual([sentence, status]);
});

it("of a folder and of a link says what lacks, and only of these", async () => {
  const links = /no hard links/;
  expect((await told(failed("EPERM", { syscall: "link" })))[0]).toMatch(links);
  expect((await told(failed("EACCES", { syscall: "link" })))[0]).not.toMatch(links);
  expect((await told(failed("ENOENT", { syscall: "mkdir" })))[0]).toMatch(
    /^orchd: the folder \/x cannot be made/,
  );
});

it("of what is no error says at least what to do; a command's own has its status", async () => {
  const nothing = "orchd: something went wrong that gave no reason; run the command again.\n";
  for (const thrown of [undefined, null, "text", {}, { message: "" }, { message: 3 }])
    expect(await told(thrown)).toEqual([nothing, 1]);
  expect(await told(new CliError(3, "it is not there."))).toEqual(["orchd: it is not there.\n", 3]);
});
