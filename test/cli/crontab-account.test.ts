/** Whom a crontab's commands run as, and where that user is at home. */
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { expect, it } from "vitest";
import { accountOf } from "../../src/cli/crontab-account.ts";

const own = userInfo();

it("is this process's user where none is named, or where it is the one that is named", () => {
  const account = { user: own.username, home: own.homedir };
  expect([accountOf(undefined), accountOf(own.username)]).toEqual([account, account]);
});

it("is another one by the system's list, and by the whole of the name", () => {
  const others = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .filter(([user = "", , , , , home = ""]) => ![own.username, ""].includes(user) && home !== "");
  expect(others.length).toBeGreaterThan(0);
  for (const [user, , , , , home] of others) expect(accountOf(user)).toEqual({ user, home });
  const part = others.map(([user]) => user!.slice(0, -1)).find((name) => name.length > 2)!;
  if (others.every(([user]) => user !== part)) expect(accountOf(part)).toHaveProperty("note");
});

it("that the system does not know has this user's home, and a person is told", () => {
  expect(accountOf("no-such-user")).toEqual({
    user: "no-such-user",
    home: own.homedir,
    note:
      "/etc/passwd does not say where no-such-user is at home: " +
      `lines without HOME are imported for ${own.homedir}.`,
  });
});
