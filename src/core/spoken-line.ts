/** What `context.log` wrote, as people read it: in a terminal, on the page and in messages. */
import { parseObject } from "./json-object.ts";

/** How such a line begins: no other line is parsed. */
const BEGIN = '{"level":"';

/**
 * `info: 3 files {"bytes":12}` of a line of `context.log`. Other lines stay as they are.
 * It stays one line: line ends of the message are written as they are in JSON.
 */
export function spokenLine(line: string): string {
  if (!line.startsWith(BEGIN)) return line;
  const { level, message, ...rest } = parseObject(line) ?? {};
  if (typeof level !== "string" || typeof message !== "string") return line;
  const said = message.replace(/[\n\r]/g, (end) => (end === "\n" ? "\\n" : "\\r"));
  return `${level}: ${said}${Object.keys(rest).length === 0 ? "" : ` ${JSON.stringify(rest)}`}`;
}
