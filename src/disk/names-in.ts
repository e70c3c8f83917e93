import { readdirSync } from "node:fs";
import { errorCode } from "./disk-error.ts";

/** The names in a folder; none if it is not there. @throws a Node error if it cannot be read */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
