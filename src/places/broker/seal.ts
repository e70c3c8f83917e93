/**
 * Seals what passes a broker: AES-256-GCM under a key that the daemon and its workers share. An
 * engine that is read, or that lies, learns no text and makes none up.
 *
 * A sealed message is, in bytes: 1 of the format, 16 of salt, 8 of a number, the text, 16 of tag.
 *
 * - Each {@link Seal} has a chance salt, and its key is derived from the shared one and the salt.
 *   Its messages are numbered, and the number is the nonce. So no nonce ever comes twice under one
 *   key, however many processes share the secret.
 * - What a message is for (its subject, an object's name, the question that it answers) is bound to
 *   it (`about`). So a message cannot be moved to another place, and an answer answers one
 *   question.
 * - Salt and number name a message ({@link nameOfSealed}).
 *
 * What it does not do: a message that an engine gives twice opens twice. What a message says is
 * known by the task's token and by numbers of its own (messages.ts).
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";

const FORMAT = 1;
const SALT_BYTES = 16;
const NUMBER_BYTES = 8;
const HEAD_BYTES = 1 + SALT_BYTES + NUMBER_BYTES;
const TAG_BYTES = 16;
/** How much longer a sealed message is than its text, in bytes. */
export const SEAL_BYTES = HEAD_BYTES + TAG_BYTES;
/** The shortest secret, in bytes. */
const SECRET_BYTES = 32;
/** How many keys of other processes are kept. */
const KEPT = 4_096;

/** A message is not sealed with this key, not for this, or was changed. */
export class Unsealed extends Error {
  override readonly name = "Unsealed";
}

/** Seals, and opens what another one with the same secret sealed. */
export class Seal {
  readonly #secret: Buffer;
  readonly #salt = randomBytes(SALT_BYTES);
  readonly #key: Buffer;
  #number = 0n;
  readonly #others = new Map<string, Buffer>();

  /**
   * @param secret at least 32 chance bytes, as base64 or hex. Space around it does not count
   * @throws Error with a sentence if it is neither, or shorter
   */
  constructor(secret: string) {
    this.#secret = bytesOf(secret.trim());
    this.#key = this.#derive(this.#salt);
  }

  /** A name that tells nobody what it is made of. @returns 32 hex digits */
  nameOf(kind: string, text: string): string {
    const name = createHmac("sha256", this.#secret).update(`${kind}\n${text}`).digest("hex");
    return name.slice(0, 32);
  }

  /** Seals a text. @param about what it is for: to be opened, the same is needed */
  seal(text: Uint8Array, about: string): Buffer {
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head[0] = FORMAT;
    this.#salt.copy(head, 1);
    this.#number += 1n;
    head.writeBigUInt64BE(this.#number, 1 + SALT_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonceOf(head));
    cipher.setAAD(boundTo(head, about));
    return Buffer.concat([head, cipher.update(text), cipher.final(), cipher.getAuthTag()]);
  }

  /** A message's text. @throws Unsealed */
  open(message: Uint8Array, about: string): Buffer {
    if (message.length < SEAL_BYTES || message[0] !== FORMAT)
      throw new Unsealed("is not sealed as orchd seals");
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
    const head = bytes.subarray(0, HEAD_BYTES);
    const key = this.#keyOf(head.subarray(1, 1 + SALT_BYTES));
    const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(head));
    decipher.setAAD(boundTo(head, about));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const text = decipher.update(bytes.subarray(HEAD_BYTES, -TAG_BYTES));
      // In this mode nothing is left to come: it only looks at the tag.
      decipher.final();
      return text;
    } catch {
      throw new Unsealed("is sealed with another key, was for something else, or was changed");
    }
  }

  #keyOf(salt: Buffer): Buffer {
    if (salt.equals(this.#salt)) return this.#key;
    const name = salt.toString("base64");
    const known = this.#others.get(name);
    if (known !== undefined) return known;
    if (this.#others.size >= KEPT) this.#others.delete(this.#others.keys().next().value!);
    const key = this.#derive(salt);
    this.#others.set(name, key);
    return key;
  }

  #derive(salt: Buffer): Buffer {
    return Buffer.from(hkdfSync("sha256", this.#secret, salt, "orchd broker", 32));
  }
}

/** The name of a sealed message: no other message has it. Empty: it is none. */
export function nameOfSealed(message: Uint8Array): string {
  return Buffer.from(message.subarray(1, HEAD_BYTES)).toString("base64");
}

function nonceOf(head: Buffer): Buffer {
  const nonce = Buffer.alloc(12);
  head.copy(nonce, 4, 1 + SALT_BYTES);
  return nonce;
}

function boundTo(head: Buffer, about: string): Buffer {
  return Buffer.concat([head, Buffer.from(about)]);
}

function bytesOf(secret: string): Buffer {
  const isHex = /^(?:[0-9a-f]{2})+$/i.test(secret);
  const isBase64 = /^[A-Za-z0-9+/_-]+={0,2}$/.test(secret);
  const bytes = isHex ? Buffer.from(secret, "hex") : Buffer.from(secret, "base64");
  if (isHex || isBase64) {
    // A text of 64 hex digits is 32 bytes, and as base64 it would be 48: hex comes first.
    if (bytes.length >= SECRET_BYTES) return bytes;
    throw new Error(
      `the key has ${bytes.length} bytes, and at least ${SECRET_BYTES} are needed: ` +
        "make one with `openssl rand -base64 32`",
    );
  }
  throw new Error("the key is neither base64 nor hex: make one with `openssl rand -base64 32`");
}
