/**
 * The OpenAPI document, made of the same list of routes as the server: docs/adr/0037 says why no
 * package makes it.
 */
import * as z from "zod";
import { VERSION } from "../../version.ts";
import { ANSWERS } from "./answers.ts";
import { API } from "./api.ts";
import { EVENTS, HERE, POST_REQUESTS } from "./other-routes.ts";
import { PROBLEM_TYPE } from "./problem.ts";
import type { RouteShape } from "./route.ts";
import { ROUTES } from "./routes.ts";
import { problemShape } from "./shapes.ts";
import { requestSchema } from "../../core/request.ts";

type Part = Record<string, unknown>;

/** Problems that any route may answer with. */
const PROBLEMS: Readonly<Record<string, string>> = {
  "400": "a parameter is wrong",
  "401": "no token, or a wrong one",
  "404": "there is no such pipeline, run or request",
  "421": "the host's name is not the page's",
  "422": "the pipeline's file is no use for it, or it is too much",
  "500": "a ledger is damaged, or cannot be read",
};
/** Problems of a request. */
const REFUSALS: Readonly<Record<string, string>> = {
  "400": "it is no JSON, or its id is none",
  "401": "no token, or a wrong one",
  "403": "the token may only read, or a page of another origin asks",
  "405": "the page only shows",
  "409": "the id is another request's",
  "413": "it is longer than 1 MiB",
  "421": "the host's name is not the page's",
  "422": "it is no request",
};

/** The document: OpenAPI 3.1. */
export function openApiDocument(): Part {
  const shapes = new Shapes();
  const paths: Record<string, Part> = {};
  for (const route of [...ROUTES, HERE])
    paths[API + route.path] = { get: operation(route, shapes) };
  paths[API + EVENTS.path] = { get: eventsOperation(shapes) };
  paths[API + POST_REQUESTS.path] = {
    ...paths[API + POST_REQUESTS.path],
    post: requestOperation(shapes),
  };
  return {
    openapi: "3.1.0",
    info: {
      title: "orchd",
      version: VERSION,
      summary: "What orchd's ledgers say, and requests to its daemon",
      description:
        "Every answer is read from ledgers, and the daemon may be down. Errors are RFC 9457 with " +
        "the command line's sentence and exit status. A client has to bear members that it does " +
        "not know.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: "as `orchd page` prints it, or from its token file; a socket needs none",
        },
      },
      schemas: shapes.named,
    },
  };
}

/** The JSON Schemas of shapes. Those that have a name stand in the document once. */
class Shapes {
  readonly named: Record<string, unknown> = {};

  of(type: z.ZodType, io: "input" | "output" = "output"): unknown {
    const {
      $schema: _dialect,
      $defs = {},
      ...made
    } = z.toJSONSchema(type, { io, unrepresentable: "any" }) as Part;
    for (const [name, schema] of Object.entries($defs as Part)) this.named[name] ??= open(schema);
    const name = type.meta()?.id;
    if (name === undefined) return open(made);
    this.named[name] ??= open(made);
    return { $ref: `#/components/schemas/${name}` };
  }
}

/** Members that the schema does not name are allowed, and names lead to where shapes stand here. */
function open(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(open);
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema)
      .filter(
        ([key, value]) => !(key === "additionalProperties" && value === false) && key !== "id",
      )
      .map(([key, value]) => [
        key,
        key === "$ref" ? String(value).replace("#/$defs/", "#/components/schemas/") : open(value),
      ]),
  );
}

function operation(route: RouteShape, shapes: Shapes): Part {
  return {
    operationId: route.id,
    summary: route.summary,
    parameters: parameters(route),
    responses: {
      "200": {
        description: "the answer",
        content: { "application/json": { schema: shapes.of(ANSWERS[route.id]) } },
      },
      ...problems(PROBLEMS, shapes),
    },
  };
}

function eventsOperation(shapes: Shapes): Part {
  const schema = { type: "string" };
  return {
    ...operation(EVENTS, shapes),
    parameters: [
      ...parameters(EVENTS),
      {
        name: "Last-Event-ID",
        in: "header",
        required: false,
        description: "the lines after this event; it comes before `from`",
        schema,
      },
    ],
    responses: {
      "200": { description: "the stream", content: { "text/event-stream": { schema } } },
      ...problems({ ...PROBLEMS, "503": "too many streams are open" }, shapes),
    },
  };
}

function requestOperation(shapes: Shapes): Part {
  return {
    operationId: POST_REQUESTS.id,
    summary: POST_REQUESTS.summary,
    parameters: [
      {
        name: "Idempotency-Key",
        in: "header",
        required: false,
        description:
          "the request's id; the same request under it again is one request, and gets the same " +
          "answer",
        schema: { type: "string", pattern: "^(?!\\.)[A-Za-z0-9._-]{1,64}$" },
      },
    ],
    requestBody: {
      required: true,
      content: { "application/json": { schema: shapes.of(requestSchema, "input") } },
    },
    responses: {
      "202": {
        description: "it is left, durably; the daemon answers it when it is up",
        headers: {
          Location: { description: "where its state is", schema: { type: "string" } },
        },
        content: { "application/json": { schema: shapes.of(ANSWERS[POST_REQUESTS.id]) } },
      },
      ...problems(REFUSALS, shapes),
    },
  };
}

function parameters({ path, params }: RouteShape): Part[] {
  const schema = z.toJSONSchema(params, { io: "input", unrepresentable: "any" }) as {
    readonly properties?: Readonly<Record<string, Part>>;
    readonly required?: readonly string[];
  };
  return Object.entries(schema.properties ?? {}).map(([name, { description, ...own }]) => ({
    name,
    in: path.includes(`{${name}}`) ? "path" : "query",
    required: schema.required?.includes(name) === true,
    ...(description === undefined ? {} : { description }),
    schema: own,
  }));
}

function problems(texts: Readonly<Record<string, string>>, shapes: Shapes): Part {
  const content = { [PROBLEM_TYPE]: { schema: shapes.of(problemShape) } };
  return Object.fromEntries(
    Object.entries(texts).map(([status, description]) => [status, { description, content }]),
  );
}
