/**
 * Takes requests to the daemon: `POST /requests` leaves a request file, and nothing else.
 *
 * The caller may give the request's id as `Idempotency-Key`. The same request under the same id is
 * one request, however often it is sent: the daemon carries it out once. Another request under a
 * known id is refused. What is known: the file while it waits, and what this page took lately.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { canonicalJson } from "../../core/canonical-json.ts";
import { readJson } from "../../core/exact-json.ts";
import { whatLetsWrite } from "../../core/read-only.ts";
import type { Request } from "../../core/request.ts";
import {
  isRequestId,
  readReply,
  readRequest,
  writeRequest,
  type CheckRequest,
} from "../../ledger/requests.ts";
import type { RunStore } from "../../ledger/run-store.ts";
import { latePart, type BeforeLoad } from "./late-part.ts";
import { refusal } from "./problem.ts";

/** The longest request, in bytes: as the daemon has it. */
const MOST_BYTES = 1_048_576;
/** How many requests are remembered: beyond that the oldest are forgotten. */
const MOST_KNOWN = 10_000;
/** What the system answers where no file can be made. */
const UNWRITABLE: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST"]);
/** Who asks, where the request does not say it. */
const BY = "page";

const requestSchemas = latePart(() => import("../../core/request.ts"));

/** What was taken. */
export interface TakenRequest {
  readonly id: string;
  readonly type: string;
  readonly state: "open" | "accepted" | "refused";
}

/** The desk of one page. */
export class RequestDesk {
  readonly #store: RunStore;
  readonly #beforeLoad: BeforeLoad;
  /** The hash of each request, by its id. */
  readonly #known = new Map<string, string>();

  /** @param beforeLoad makes sure that code can be loaded now; default: nobody does */
  constructor(store: RunStore, beforeLoad?: BeforeLoad) {
    this.#store = store;
    this.#beforeLoad = beforeLoad;
  }

  /**
   * Leaves a request, durably.
   *
   * @param key the request's id, if the caller gave one
   * @throws Refusal where it is none, or another one has its id
   */
  async take(incoming: IncomingMessage, key: string | undefined): Promise<TakenRequest> {
    const id = key?.replaceAll(/^"|"$/g, "");
    if (id !== undefined && !isRequestId(id))
      throw refusal(
        400,
        "Idempotency-Key: it is no request's id; take up to 64 letters, digits, dots, dashes and " +
          "underscores, no dot first.",
      );
    const text = await bodyOf(incoming);
    const json = readJson(text);
    if (!json.ok) throw refusal(400, `the request ${json.message}; send one JSON object.`);
    // Loaded with the first request: a page that only shows needs no schema of them.
    const { parseRequest } = await requestSchemas(this.#beforeLoad);
    const checked = parseRequest(json.value);
    if (!checked.ok)
      throw refusal(422, `${checked.reason} (/api/v1/schema/request has the form).`, 2);
    const request: Request = { ...checked.request, by: checked.request.by ?? BY };
    const hash = hashOf(request);
    const waiting = (): string | undefined => this.#waiting(id!, parseRequest);
    const known = id === undefined ? undefined : (this.#known.get(id) ?? waiting());
    if (known !== undefined && known !== hash)
      throw refusal(409, `the id "${id}" is another request's; take an id of its own.`);
    const reply = id === undefined ? null : readReply(this.#store.runsDir, id);
    if (id !== undefined) this.#remember(id, hash);
    if (reply !== null)
      return { id: id!, type: request.type, state: reply.accepted ? "accepted" : "refused" };
    const written =
      known !== undefined && waiting() === hash ? id! : await this.#write(request, id);
    this.#remember(written, hash);
    return { id: written, type: request.type, state: "open" };
  }

  /** @returns its id. @throws Refusal where this user may not write it */
  async #write(request: Request, id: string | undefined): Promise<string> {
    try {
      return await writeRequest(this.#store.runsDir, request, id === undefined ? {} : { id });
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      if (!UNWRITABLE.has(code)) throw error;
      const { requests } = this.#store;
      throw refusal(
        500,
        `the page cannot write requests to ${requests} (${code}); ` +
          `${whatLetsWrite(code, "let its user write there")}.`,
      );
    }
  }

  /** The hash of a request that still waits; one that cannot be read is another one. */
  #waiting(id: string, parse: CheckRequest): string | undefined {
    const read = readRequest(this.#store.requests, id, parse);
    if (read === undefined) return undefined;
    return read.ok ? hashOf(read.request) : "unreadable";
  }

  #remember(id: string, hash: string): void {
    this.#known.delete(id);
    this.#known.set(id, hash);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest);
  }
}

function hashOf(request: Request): string {
  return createHash("sha256").update(canonicalJson(request)).digest("base64url");
}

/** The body as text. @throws Refusal where it is too long or not UTF-8 */
function bodyOf(incoming: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const tooLong = (): void => reject(refusal(413, "the request is longer than 1 MiB."));
    if (Number(incoming.headers["content-length"] ?? 0) > MOST_BYTES) return tooLong();
    incoming.on("data", (part: Buffer) => {
      length += part.length;
      if (length > MOST_BYTES) tooLong();
      else parts.push(part);
    });
    incoming.on("error", () => reject(refusal(400, "the request did not come whole.")));
    incoming.on("end", () => {
      try {
        resolve(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts)));
      } catch {
        reject(refusal(400, "the request is not UTF-8."));
      }
    });
  });
}
