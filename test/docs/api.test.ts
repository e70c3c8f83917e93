/** docs/api.md lists the routes that there are. */
import { expect, it } from "vitest";
import { openApiDocument } from "../../src/page/server/openapi.ts";
import { expectTable, markdownTable } from "./held-table.ts";

interface Operation {
  readonly summary: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
  }[];
}

it("docs/api.md has each route, with its parameters", () => {
  const { paths } = openApiDocument() as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  };
  const rows = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary, parameters = [] }]) => [
      `\`${method.toUpperCase()} ${path.replace("/api/v1", "")}\``,
      parameters
        .filter((one) => one.in === "query")
        .map(({ name, required }) => `\`${name}${required ? "" : "?"}\``)
        .join(" "),
      summary,
    ]),
  );
  expect(rows.length).toBeGreaterThan(15);
  expectTable("docs/api.md", "routes", markdownTable(["route", "parameters", "gives"], rows));
});
