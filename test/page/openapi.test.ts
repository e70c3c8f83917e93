/** The OpenAPI document: valid, whole, and true of every answer. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import type * as z from "zod";
import { ANSWERS } from "../../src/page/server/answers.ts";
import { API } from "../../src/page/server/api.ts";
import { openApiDocument } from "../../src/page/server/openapi.ts";
import { ROUTES } from "../../src/page/server/routes.ts";
import { hereShape, problemShape, takenShape } from "../../src/page/server/shapes.ts";
import { expectKept } from "../support/kept-text.ts";
import { idOf, madeUpRoot } from "../support/made-up-root.ts";
import { pageRig } from "./page-rig.ts";

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly responses: Readonly<Record<string, unknown>>;
}
interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required: boolean;
  readonly schema: Readonly<Record<string, unknown>>;
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

const document = openApiDocument() as { readonly paths: Paths };

describe("the document", () => {
  it("is OpenAPI 3.1, by a public validator", async () => {
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    expect([valid, errors]).toEqual([true, undefined]);
  });

  it("is what clients were made for: a bound, a default or a word that changes shows", () => {
    const { info, ...rest } = document as unknown as { readonly info: { version: string } };
    const kept = { info: { ...info, version: "THIS RELEASE" }, ...rest };
    expectKept("openapi.json", JSON.stringify(kept, undefined, 1));
  });

  it("names every reference, and no operation twice", () => {
    const text = JSON.stringify(document);
    const { schemas } = (document as unknown as { components: { schemas: object } }).components;
    const named = [...text.matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
    expect(named.length).toBeGreaterThan(20);
    expect(named.map(([, name = ""]) => name).filter((name) => !(name in schemas))).toEqual([]);
    const ids = Object.values(document.paths).flatMap((path) =>
      Object.values(path).map(({ operationId }) => operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("has each route of the app and no other", async () => {
    const rig = await pageRig();
    for (const path of [`${API}/openapi.json`, "/openapi.json"]) {
      const got = await rig.ask(path);
      expect(got.headers["content-type"]).toBe("application/json");
      expect(got.json()).toEqual(JSON.parse(JSON.stringify(document)));
    }
    expect(Object.keys(document.paths).toSorted()).toEqual(
      [...ROUTES.map(({ path }) => API + path), `${API}/events`, `${API}/here`].toSorted(),
    );
  });
});

describe("each answer of a root", () => {
  const run = idOf("etl", 2);
  /** Addresses of each route, by its path. */
  const ASKED: Readonly<Record<string, readonly string[]>> = {
    "/status": [""],
    "/overview": [""],
    "/strips": ["?pipelines=etl,nobody"],
    "/slots": ["", "?from=2026-11-20&to=now&cells=10", "?pipeline=etl&decision=missed,late"],
    "/next": ["", "?pipeline=etl&n=3&from=2026-11-24"],
    "/pipelines/{pipeline}": ["etl"],
    "/pipelines/{pipeline}/file": ["etl"],
    "/pipelines/{pipeline}/slots": ["etl", "etl?from=30d&decision=skipped"],
    "/pipelines/{pipeline}/why": ["etl", "etl?at=2026-11-23T02:00Z"],
    "/runs": ["", "?limit=1", "?pipeline=etl&status=failed&since=30d&q=etl"],
    "/runs/{run}": [run, idOf("etl", 3), idOf("etl", 4)],
    "/runs/{run}/ledger": [run, `${run}?from=2&limit=1`],
    "/runs/{run}/log": [run, `${run}?from=-5&q=x`],
    "/runs/{run}/graph": [run],
    "/diff": [`?a=${run}&b=${idOf("etl", 3)}`],
    "/requests": ["", "?limit=1"],
    "/alerts": [""],
    "/places": [""],
    "/requests/{id}": ["q1"],
    "/schema/{what}": ["pipeline", "ledger", "request", "settings"],
    "/search": ["?q=etl"],
    "/backfill/price": ["?pipeline=etl&from=2026-11-23T00:00Z&to=2026-11-23T05:00Z"],
  };

  it.each(ROUTES.map((route) => [route.path, ANSWERS[route.id]] as const))(
    "to %s is as the document has it",
    async (path, answer) => {
      const root = madeUpRoot();
      for (const folder of ["requests", "replies"])
        mkdirSync(join(root.runs, ".orchd", folder), { recursive: true });
      writeFileSync(
        join(root.runs, ".orchd/requests/q1.json"),
        JSON.stringify({ type: "pause", pipeline: "etl", by: "test" }),
      );
      writeFileSync(
        join(root.runs, ".orchd/replies/q2.json"),
        JSON.stringify({ accepted: false, reason: "no", at: "2026-11-23T09:00:00.000Z" }),
      );
      const rig = await pageRig({}, root);
      const asked = ASKED[path];
      expect([path, asked]).not.toEqual([path, undefined]);
      for (const one of asked!) {
        const [value = "", query = ""] = one.split("?");
        const where = path.replace(/\{\w+\}/, encodeURIComponent(value));
        const got = await rig.ask(`${API}${where}${query === "" ? "" : `?${query}`}`);
        expect([one, got.status, got.text]).toEqual([one, 200, got.text]);
        expectShape(answer, got.json());
      }
    },
  );

  it("to a request, and to what goes wrong, too", async () => {
    const rig = await pageRig({ allowRequests: true });
    const body = JSON.stringify({ type: "pause", pipeline: "etl" });
    const taken = await rig.ask(`${API}/requests`, { method: "POST", body });
    expect(taken.status).toBe(202);
    expectShape(takenShape, taken.json());
    expectShape(hereShape, (await rig.ask(`${API}/here`)).json());
    for (const path of ["/runs/nope", "/runs?limit=x", "/nope", "/diff"])
      expectShape(problemShape, (await rig.ask(API + path)).json());
  });
});

function expectShape(shape: z.ZodType, value: unknown): void {
  const read = shape.safeParse(value);
  expect(read.error?.issues ?? []).toEqual([]);
}

it("a client that knows the document alone gets an answer of every route", async () => {
  const rig = await pageRig();
  const { paths } = (await rig.ask("/openapi.json")).json<{ paths: Paths }>();
  // What it learns on its way: names come from the lists that it reads.
  const [run = ""] = (await rig.ask(`${API}/runs`))
    .json<{ runs: { run: string }[] }>()
    .runs.map((one) => one.run);
  const known: Readonly<Record<string, string>> = {
    pipeline: "etl",
    run,
    a: run,
    b: run,
    what: "ledger",
    q: "etl",
    pipelines: "etl",
    id: "nobody",
    from: "1d",
    to: "now",
  };
  for (const [path, { get }] of Object.entries(paths)) {
    if (get === undefined || path.endsWith("/events")) continue;
    const query = new URLSearchParams();
    let where = path;
    for (const { name, in: place, required } of get.parameters ?? []) {
      if (place === "path") where = where.replace(`{${name}}`, encodeURIComponent(known[name]!));
      else if (required) query.set(name, known[name]!);
    }
    const got = await rig.ask(`${where}?${query}`);
    const expected = path.endsWith("/requests/{id}") ? 404 : 200;
    expect([where, got.status, got.text.slice(0, 200)]).toEqual([
      where,
      expected,
      got.text.slice(0, 200),
    ]);
    expect(get.responses).toHaveProperty(String(expected));
  }
});
