/** Whom a crontab's commands run as. cron takes that from /etc/passwd, and so does an import. */
import { readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";

/** A user and their home folder. */
export interface Account {
  /** Undefined if the user has no name. */
  readonly user: string | undefined;
  readonly home: string;
  /** What a person should know of it, as a sentence. */
  readonly note?: string;
}

/**
 * The account of a user, by /etc/passwd.
 *
 * @param user undefined: the user of this process
 */
export function accountOf(user: string | undefined): Account {
  const own = ownAccount();
  if (user === undefined || user === own.user) return own;
  let line: string | undefined;
  try {
    line = readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .find((one) => one.startsWith(`${user}:`));
  } catch {
    // Without the file nothing is known of other users.
  }
  const home = line?.split(":")[5] ?? "";
  if (home !== "") return { user, home };
  const note =
    `/etc/passwd does not say where ${user} is at home: lines without HOME are imported for ` +
    `${own.home}.`;
  return { user, home: own.home, note };
}

function ownAccount(): Account {
  try {
    const { username, homedir: home } = userInfo();
    return { user: username, home };
  } catch {
    // The user has no line in /etc/passwd.
    return { user: process.env["LOGNAME"] ?? process.env["USER"], home: homedir() };
  }
}
