/** The quick way of `orchd status` refuses a root that is not there, as every command does. */
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { runFast } from "../../src/cli/entry.ts";
import { tempRoot } from "../support/temp-root.ts";

it("a root that is not there is no empty project", async () => {
  const said: string[] = [];
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    said.push(String(text));
    return true;
  });
  const root = join(tempRoot().root, "gone");
  const status = await runFast(["status", "--root", root]);
  write.mockRestore();
  expect(status).toBe(2);
  expect(said.join("")).toContain(root);
});

it("words that yargs has to read are left to it", async () => {
  expect(await runFast(["status", "--no-such-option"])).toBeUndefined();
  expect(await runFast(["runs"])).toBeUndefined();
});
