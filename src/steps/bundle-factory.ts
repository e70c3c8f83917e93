/**
 * A bundle as a function that makes instances of its module: each call evaluates the text anew, in
 * a scope of its own. To import a module another time costs as much as several small steps; to call
 * a compiled function costs next to nothing.
 *
 * esbuild writes imports and exports in one plain way. What looks like an import may also be a line
 * of a long text or of a comment. So an import counts only where none of these was begun before it,
 * and exports count only as the last statement. Where a text has anything else, or what a function
 * cannot have (`import.meta`, packages, an import as it runs), there is no factory, and the module
 * is imported as often as it is needed.
 */
import { compileFunction } from "node:vm";
import { importsPackages } from "./spawn-watch.ts";

/** What {@link IMPORT} finds: three kinds of names, the specifier, and where it stands. */
type ImportParts = [
  first: string | undefined,
  all: string | undefined,
  list: string | undefined,
  from: string | undefined,
  at: number,
];
/** The exports of one instance. */
type Exports = { readonly [name: string]: unknown };
/** Makes an instance. */
export type BundleFactory = () => Promise<Exports>;

const NAMES = String.raw`(?:([\w$]+)\s*(?:,\s*)?)?(?:\*\s*as\s+([\w$]+)\s*|\{([^}]*)\}\s*)?`;
const IMPORT = new RegExp(String.raw`^import\s+${NAMES}from\s*"([^"\n]+)";[ \t]*$`, "gm");
const EXPORT = /^export\s*\{([^}]*)\};[ \t]*$/gm;
/**
 * What begins a text or a comment of several lines. esbuild marks calls without effects by a
 * comment that ends at once.
 */
const LONG = /`|\/\*(?! @__PURE__ \*\/)/;
/** What may follow the last statement. With a "`" it could be the end of a text. */
const END = /^(?:\s|\/\/[^\n`]*)*$/;
/** What no factory can be made of. */
const UNFIT = /\bimport\s*[.(]|["']orchd["']|^\s*(?:import|export)\b/m;
const NAME = /^[\w$]+$/;

/**
 * Makes a factory of a bundle's text.
 *
 * @param url names the bundle in stacks
 * @returns undefined if the text is not as plain as it has to be
 */
export async function bundleFactory(text: string, url: string): Promise<BundleFactory | undefined> {
  if (importsPackages(text)) return undefined;
  const specifiers: string[] = [];
  const exported: string[] = [];
  let isPlain = true;
  const pairs = (list: string, join: (from: string, to: string) => string): string[] =>
    list
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "")
      .map((entry) => {
        const [from = "", to = from, ...rest] = entry.split(/\s+as\s+/);
        isPlain &&= rest.length === 0 && NAME.test(from) && NAME.test(to);
        return join(from, to);
      });
  const long = text.search(LONG);
  // The lines stay where they were: stacks count them.
  const lines = (whole: string): string => "\n".repeat(whole.split("\n").length - 1);
  const imported = (whole: string, ...[first, all, list, from = "", at]: ImportParts): string => {
    isPlain &&= long === -1 || at < long;
    const module = `$orchd[${specifiers.push(from) - 1}]`;
    const names = [
      ...(first === undefined ? [] : [`default: ${first}`]),
      ...pairs(list ?? "", (name, local) => `${name}: ${local}`),
    ];
    const star = all === undefined ? "" : ` const ${all} = ${module};`;
    return `const { ${names.join(", ")} } = ${module};${star}${lines(whole)}`;
  };
  const body = text
    .replaceAll(EXPORT, (whole: string, list: string, at: number) => {
      isPlain &&= END.test(text.slice(at + whole.length));
      exported.push(...pairs(list, (local, name) => `get ${name}() { return ${local}; }`));
      return lines(whole);
    })
    // Behind an import nothing was replaced that stands before it.
    .replaceAll(IMPORT, imported);
  if (!isPlain || UNFIT.test(body)) return undefined;
  const modules = await Promise.all(specifiers.map((specifier) => import(specifier) as unknown));
  try {
    const make = compileFunction(
      `"use strict"; return (async () => { ${body}\nreturn { ${exported.join(", ")} }; })();`,
      ["$orchd"],
      { filename: url },
    ) as (modules: readonly unknown[]) => Promise<Exports>;
    return () => make(modules);
  } catch {
    return undefined;
  }
}
