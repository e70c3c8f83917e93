/** In which forms a secret's value is found, and what takes its place. */
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { stepLog } from "../../src/steps/context.ts";
import { LineCapture } from "../../src/steps/line-capture.ts";
import { MASK, Masker } from "../../src/core/mask.ts";
import { StrayLines } from "../../src/places/pool/stray-lines.ts";

const TOKEN = `tök/en+"quoted"\\it's=7`;
const JWT = "eyJhbGciOiJIUzI1NiJ9.".concat("Zm9vYmFy".repeat(30));
const masker = (...secrets: string[]): Masker => new Masker(secrets);
const json = (mask: Masker, value: unknown): unknown => {
  const text = JSON.stringify(value);
  return JSON.parse(mask.json(text) ?? text);
};

describe("a secret in a text", () => {
  it.each<[string, (secret: string) => string]>([
    ["as it is", (secret) => secret],
    ["in a JSON text", (secret) => JSON.stringify({ secret })],
    ["in a JSON text in a JSON text", (secret) => JSON.stringify(JSON.stringify({ secret }))],
    ["as console.log shows a member", (secret) => inspect({ secret })],
    ["in a URL", (secret) => `https://h/?t=${encodeURIComponent(secret)}`],
    [
      "in a URL, in small letters",
      (secret) => encodeURIComponent(secret).replaceAll(/%../g, (code) => code.toLowerCase()),
    ],
    ["in a form", (secret) => new URLSearchParams({ a: "b", secret }).toString()],
    ["in hexadecimal", (secret) => Buffer.from(secret).toString("hex")],
    ["in a shell's quotes", (secret) => `'${secret.replaceAll("'", `'\\''`)}'`],
    ["in base64", (secret) => Buffer.from(secret).toString("base64")],
    ["in base64 of URLs", (secret) => Buffer.from(secret).toString("base64url")],
    ...["", "a", "us", "use", "user", "user2"].map((user): [string, (secret: string) => string] => [
      `in base64 behind "${user}:"`,
      (secret) => Buffer.from(`${user}:${secret}\n`).toString("base64"),
    ]),
  ])("is found %s", (_how, written) => {
    for (const secret of [TOKEN, JWT, "8412094417733", "hunter2x"]) {
      const masked = masker(secret).text(`before ${written(secret)} after`);
      expect(masked).toContain(MASK);
      expect(masked).toMatch(/^before .* after$/s);
      for (const plain of [
        secret.slice(0, 6),
        Buffer.from(secret).toString("hex").slice(2, 12),
        encodeURIComponent(secret).slice(3, 9),
      ])
        expect(masked).not.toContain(plain);
    }
  });

  it("is found whole where another secret is a part of it, in any order", () => {
    const [short, long] = ["hunter2x", "hunter2x-and-more"];
    for (const secrets of [
      [short, long],
      [long, short],
    ]) {
      expect(masker(...secrets).text(`${long} ${short}.`)).toBe(`${MASK} ${MASK}.`);
      expect(json(masker(...secrets), { [long]: [long, short] })).toEqual({ [MASK]: [MASK, MASK] });
    }
  });

  it("leaves no rest where it overlaps another one, or itself", () => {
    const both = masker("secret-one", "one-two-three", "abab");
    expect(both.text("a secret-one-two-three b")).toBe(`a ${MASK} b`);
    expect(both.text("secret-onesecret-one")).toBe(MASK + MASK);
    expect(both.text("ababab-ab")).toBe(`${MASK}-ab`);
    expect(json(both, ["secret-one-two-three"])).toEqual([MASK]);
  });

  it("is not cut, nor is one after it taken for the place to cut", () => {
    const both = masker("hunter2x", "s3cret-7");
    expect(both.cut(`${"-".repeat(10)}hunter2x${"-".repeat(4)}s3cret-7`, 14)).toBe(10);
    expect(both.cut(`${"-".repeat(10)}s3cret-7${"-".repeat(4)}hunter2x`, 14)).toBe(10);
    expect(both.cut(`${"-".repeat(10)}hunter2xs3cret-7`, 20)).toBe(18);
    expect(both.cut(`${"-".repeat(20)}hunter2x`, 20)).toBe(20);
    expect(both.cut("-".repeat(30), 20)).toBe(20);
    // Where one begins, the other has not ended.
    const over = new Masker(["0123456789", "89abcde"]);
    expect(over.cut("-".repeat(10) + "0123456789abcde", 20)).toBe(10);
  });

  it("is found where a library cut it, if it is long", () => {
    expect(masker(JWT).text(`Received '${JWT.slice(0, 128)}...`)).toBe(`Received '${MASK}...`);
    expect(masker(JWT).text("nothing of it")).toBe("nothing of it");
    const token = "f3a9".repeat(8);
    expect(masker(token).text(`got ${token.slice(0, 16)}...`)).toBe(`got ${MASK}...`);
    const short = token.slice(1);
    expect(masker(short).text(`got ${short.slice(0, 16)}...`)).toBe(`got ${short.slice(0, 16)}...`);
  });

  it.each([
    TOKEN,
    JWT,
    "QXKZWVJHPLMNTRBDFGCS-abcdefghijklmnop",
    '{"half": QXKZWVJHPLM',
    "12QXKZWV",
  ])("is not quoted by the JSON parser: %s", (secret) => {
    let thrown: Error | undefined;
    try {
      JSON.parse(secret);
    } catch (error) {
      thrown = error as Error;
    }
    const mask = masker(secret);
    for (const text of [
      thrown!.message,
      thrown!.stack!,
      JSON.stringify({ error: thrown!.message }),
      `${thrown!.name}: ${thrown!.message.slice(0, -24)}`,
    ])
      for (let at = 0; at + 5 <= secret.length; at += 1)
        expect(mask.text(text)).not.toContain(secret.slice(at, at + 5));
  });

  it("is found wherever the writes part it", () => {
    for (const secret of [TOKEN, "8412094417733"]) {
      const bytes = Buffer.from(`it is ${secret}.\n`);
      for (let at = 0; at <= bytes.length; at += 1) {
        const lines: string[] = [];
        const capture = new LineCapture(masker(secret), (_stream, more) => lines.push(...more));
        capture.write("stdout", bytes.subarray(0, at));
        capture.write("stdout", bytes.subarray(at));
        capture.end();
        expect(lines).toEqual([`it is ${MASK}.`]);
      }
    }
  });

  it("is found where a line that never ends is cut, wherever the writes part it", () => {
    const secret = "hunter2x";
    for (let ahead = 65_526; ahead <= 65_537; ahead += 1) {
      for (let written = 1; written <= secret.length; written += 1) {
        const lines: string[] = [];
        const capture = new LineCapture(masker(secret), (_stream, more) => lines.push(...more));
        capture.write("stdout", `${"x".repeat(ahead)}${secret.slice(0, written)}`);
        capture.write("stdout", `${secret.slice(written)}${"y".repeat(70_000)}`);
        capture.end();
        expect(lines.length).toBeGreaterThan(1);
        expect(lines.join("")).toBe(`${"x".repeat(ahead)}${MASK}${"y".repeat(70_000)}`);
      }
    }
  });

  it("is found where a line past the capture is cut", () => {
    for (let ahead = 65_530; ahead <= 65_536; ahead += 1) {
      const lines: string[] = [];
      const stray = new StrayLines(
        () => masker("hunter2x"),
        (more) => lines.push(...more),
      );
      stray.add(Buffer.from(`${"x".repeat(ahead)}hunter2x${"y".repeat(70_000)}`));
      stray.end();
      expect(lines.map((line) => masker("hunter2x").text(line)).join("")).toBe(
        `${"x".repeat(ahead)}${MASK}${"y".repeat(70_000)}`,
      );
    }
  });

  it("is found in an error that a log line shortens", () => {
    const lines: string[] = [];
    const log = stepLog(
      (line) => lines.push(line),
      (error) => masker("hunter2x").error(error),
    );
    log.error("failed", new Error(`${"x".repeat(8_188)}hunter2x`));
    expect(lines[0]).not.toContain("hunt");
  });
});

describe("a secret in a JSON value", () => {
  it("is masked, whatever its type", () => {
    const mask = masker("8412094417733", "0042.50", "1285704473650888702", "true");
    expect(
      json(mask, {
        pin: 8412094417733,
        more: [-8412094417733, 84120944177330, 8.412094417733e12, 7],
        price: 42.5,
        // Rounded, as JSON.parse does.
        big: Number("1285704473650888702"),
        yes: true,
        no: false,
        none: null,
        "8412094417733": "8412094417733",
      }),
    ).toEqual({
      pin: MASK,
      more: [MASK, MASK, MASK, 7],
      price: MASK,
      big: MASK,
      yes: MASK,
      no: false,
      none: null,
      [MASK]: MASK,
    });
    expect(json(mask, 8412094417733)).toBe(MASK);
  });

  it("is masked in every form that a text has", () => {
    const mask = masker(TOKEN);
    for (const form of [
      encodeURIComponent(TOKEN),
      TOKEN.replaceAll("'", `'"'"'`),
      Buffer.from(`u:${TOKEN}`).toString("base64"),
    ])
      expect(JSON.stringify(json(mask, [{ [form]: form }]))).not.toContain(form.slice(4, -4));
  });

  it("leaves a value without secrets as it is", () => {
    expect(masker(TOKEN, "8412094417733").json('{"a":[1,true,null,"x"]}')).toBeUndefined();
    expect(masker().json('{"a":1}')).toBeUndefined();
    expect(masker(" \n").text("a b")).toBe("a b");
  });
});

describe("a secret in an error", () => {
  it("is masked in every member, and in every cause", () => {
    const error = { name: TOKEN, message: TOKEN, code: "8412094417733", stack: `at ${TOKEN}` };
    const masked = masker(TOKEN, "8412094417733").error({
      ...error,
      cause: { ...error, errors: [error] },
    });
    expect(JSON.stringify(masked)).not.toMatch(/quoted|8412/);
  });
});
