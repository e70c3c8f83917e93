/** What the disk's errors say: whether waiting can cure one, and how to name it to a person. */

/** The `code` of a Node error, or undefined. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/**
 * Whether an error says that there is no room, or no descriptor left: something that waiting can
 * cure.
 */
export function isExhausted(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ENOSPC" || code === "EDQUOT" || lacksDescriptor(error);
}

const RAN_OUT: Record<string, string> = {
  EDQUOT: "the quota on the disk is used up",
  EMFILE: "this daemon may open no more files (raise LimitNOFILE= in its unit, or ulimit -n)",
  ENFILE: "the machine can open no more files (raise fs.file-max)",
};

/** What there is no more of, where {@link isExhausted} holds: the beginning of a sentence. */
export function whatRanOut(error: unknown): string {
  return RAN_OUT[errorCode(error) ?? ""] ?? "the disk is full";
}

/**
 * Whether an error, or what caused it, says that no descriptor is left. Only opening fails so, and
 * never a sync: what was tried has not begun, and can be tried again.
 */
export function lacksDescriptor(error: unknown): boolean {
  const code = errorCode(error);
  if (code === "EMFILE" || code === "ENFILE") return true;
  return error instanceof Error && error.cause !== undefined && lacksDescriptor(error.cause);
}
