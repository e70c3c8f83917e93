/** The sha256 of a content, in hexadecimal: how files are compared, and how bundles are named. */
import { createHash } from "node:crypto";

export function sha256(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}
