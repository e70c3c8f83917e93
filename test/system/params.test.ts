/** Params that a pipeline does not declare, on the command line and in requests. */
import { expect, test } from "vitest";
import { ask } from "../support/asked-command.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { submit } from "../support/request.ts";
import { tempRoot } from "../support/temp-root.ts";

test("a param that a pipeline does not declare is never taken silently", async () => {
  const root = tempRoot({
    "schedules/some.yaml": 'params: { path: /etc/hostname }\nsteps: { it: { run: "true" } }\n',
    "schedules/none.yaml": 'steps: { it: { run: "true" } }\n',
  });
  const inFront = await orchd(root.root, "run", "some", "-p", "pth=/tmp", "--foreground");
  expect(inFront).toMatchObject({ status: 2, stdout: "" });
  expect(inFront.stderr).toContain('pipeline some declares no param "pth"; did you mean "path"?');
  const daemon = await startDaemon(root);
  const typo = await ask(root.root, "run", "some", "-p", "pth=/tmp", "--wait");
  expect(typo).toMatchObject({ status: 5, stdout: "" });
  expect(typo.stderr).toContain('pipeline some declares no param "pth"; did you mean "path"?');
  expect((await ask(root.root, "run", "some", "-p", "path=/tmp", "--wait")).status).toBe(0);
  const vain = await ask(root.root, "run", "none", "-p", "a=1");
  expect(vain.status).toBe(0);
  expect(vain.stderr).toContain('pipeline none declares no params, so nothing reads "a"');
  await expect(submit(root.runs, "some", { pth: 1 })).rejects.toThrow("declares no param");
  await daemon.end();
});
