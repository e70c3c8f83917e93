/** What the disk's errors say: whether waiting can cure one, and how to tell a person. */

/** The `code` of a Node error, or undefined. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** Whether an error says that no room or no descriptor is left. Waiting can cure both. */
export function isExhausted(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOSPC" || code === "EDQUOT" || lacksDescriptor(error);
}

const RAN_OUT: Record<string, string> = {
  EDQUOT: "the quota on the disk is used up",
  EMFILE: "this daemon may open no more files (raise LimitNOFILE= in its unit, or ulimit -n)",
  ENFILE: "the machine can open no more files (raise fs.file-max)",
};

/** What ran out, where {@link isExhausted} holds: the beginning of a sentence. */
export function whatRanOut(error: unknown): string {
  return RAN_OUT[errorCode(error) ?? ""] ?? "the disk is full";
}

/**
 * Whether an error, or its cause, says that no descriptor is left. Only opening a file fails in
 * this way, never a sync: the action has not begun, and can be tried again.
 */
export function lacksDescriptor(error: unknown): boolean {
  const code = errorCode(error);
  if (code === "EMFILE" || code === "ENFILE") return true;
  return error instanceof Error && error.cause !== undefined && lacksDescriptor(error.cause);
}
