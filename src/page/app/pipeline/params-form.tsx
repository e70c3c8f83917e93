/**
 * A run by hand: a field for each declared param, and the button that asks for it.
 *
 * What is typed is in the address, so that a link can carry it and no update takes it away.
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Json } from "../../../core/snapshot.ts";
import type { PipelinePage } from "../../../views/pipeline-page.ts";
import { Command } from "../command.tsx";
import { confirmFirst, type Intent } from "../confirm.tsx";
import { mayOperate } from "../here.ts";
import { useKeys } from "../keys.ts";
import { address, setQuery } from "../location.ts";
import { safeText } from "../safe-text.ts";
import { countText } from "../words.ts";
import { kindOf, paramWord, secretName, textOf, valueOf, type ParamKind } from "./param-field.ts";

/** Keys of the address that hold what was typed. */
const TYPED = "p.";

interface Field {
  readonly name: string;
  readonly kind: ParamKind;
  readonly declared: Json;
  readonly text: string;
  readonly changed: boolean;
  readonly value: Json;
  /** What is wrong with it. */
  readonly fault: string | undefined;
}

export function ParamsForm({ page }: { readonly page: PipelinePage }): JSX.Element {
  const [tried, setTried] = useState(false);
  const { query } = address.value;
  const fields = Object.entries(page.params).map(([name, declared]) => fieldOf(name, declared));
  const noCache = query.get("noCache") === "1";
  const intent = intentOf(page.name, fields, noCache);
  const faults = fields.filter(({ fault }) => fault !== undefined);
  const run = (): void => {
    setTried(true);
    if (!mayOperate.value) return;
    if (faults.length === 0) confirmFirst(intent);
    else document.querySelector<HTMLElement>(`#${idOf(faults[0]!.name, fields)}`)?.focus();
  };
  useKeys([{ key: "r", does: "run it now", run }]);
  const changed = fields.filter((field) => field.changed).length;
  return (
    <section class="card" aria-labelledby="run-it">
      <h2 id="run-it">Run it now</h2>
      <form
        class="params-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          run();
        }}
      >
        {fields.length === 0 && <p class="none">It declares no params.</p>}
        {fields.map((field) => (
          <ParamField
            key={field.name}
            id={idOf(field.name, fields)}
            field={field}
            isFaultShown={tried || field.kind !== "number"}
          />
        ))}
        <label class="check">
          <input
            type="checkbox"
            checked={noCache}
            onChange={({ currentTarget }) =>
              setQuery({ noCache: currentTarget.checked ? "1" : null })
            }
          />{" "}
          without the cache
        </label>
        <div class="acts">
          <button type="submit" class="button primary" aria-disabled={!mayOperate.value}>
            {`Run ${safeText(page.name)} `}
            <small>
              {fields.length === 0
                ? "now"
                : changed === 0
                  ? "with the defaults"
                  : `${countText(changed, "param")} changed`}
            </small>
          </button>
          {changed > 0 && (
            <button type="button" class="button" onClick={() => clear(fields)}>
              The defaults again
            </button>
          )}
        </div>
      </form>
      {faults.length === 0 && <Command words={intent.command} />}
    </section>
  );
}

function fieldOf(name: string, declared: Json): Field {
  const kind = kindOf(declared);
  const kept = address.value.query.get(`${TYPED}${name}`);
  const typed = kept?.startsWith("=") === true ? kept.slice(1) : kept;
  const text = kind === "secret" ? "" : (typed ?? textOf(declared));
  const changed = kind !== "secret" && typed !== null && typed !== textOf(declared);
  const read = changed ? valueOf(kind, text) : { ok: true as const, value: declared };
  return {
    name,
    kind,
    declared,
    text,
    changed,
    value: read.ok ? read.value : declared,
    fault: read.ok ? undefined : read.message,
  };
}

/** How a text stands in the address, which holds no empty one. */
function keptAs(text: string): string {
  return text === "" || text.startsWith("=") ? `=${text}` : text;
}

/** A name may hold anything: its place in the list makes the id. */
function idOf(name: string, fields: readonly Field[]): string {
  return `param-${fields.findIndex((field) => field.name === name)}`;
}

function clear(fields: readonly Field[]): void {
  setQuery(Object.fromEntries(fields.map(({ name }) => [`${TYPED}${name}`, null])));
}

function intentOf(pipeline: string, fields: readonly Field[], noCache: boolean): Intent {
  const given = fields.filter(({ changed, fault }) => changed && fault === undefined);
  const names = given.map(({ name }) => name);
  const params = Object.fromEntries(given.map(({ name, value }) => [name, value]));
  return {
    title: `Run ${pipeline} now`,
    what:
      given.length === 0
        ? "A run by hand begins, with the params that the file declares."
        : `A run by hand begins, with ${names.map(safeText).join(", ")} as given.`,
    button: `Run ${pipeline}`,
    command: [
      "orchd",
      "run",
      pipeline,
      ...given.flatMap(({ name, value }) => ["-p", paramWord(name, value)]),
      ...(noCache ? ["--no-cache"] : []),
    ],
    request: {
      type: "submit",
      pipeline,
      ...(given.length === 0 ? {} : { params }),
      ...(noCache ? { noCache: true } : {}),
    },
  };
}

function ParamField({
  id,
  field: { name, kind, declared, text, changed, fault },
  isFaultShown,
}: {
  readonly id: string;
  readonly field: Field;
  readonly isFaultShown: boolean;
}): JSX.Element {
  const shown = isFaultShown ? fault : undefined;
  const type = (value: string): void =>
    setQuery({ [`${TYPED}${name}`]: value === textOf(declared) ? null : keptAs(value) });
  const common = {
    id,
    "aria-invalid": shown !== undefined,
    "aria-describedby": `${id}-note`,
  };
  return (
    <div class={`param${changed ? " changed" : ""}`}>
      <label for={id}>
        <code>{safeText(name)}</code>
      </label>
      {kind === "secret" ? (
        <output id={id}>{`secret ${safeText(secretName(declared) ?? "")}`}</output>
      ) : kind === "boolean" ? (
        <input
          {...common}
          type="checkbox"
          checked={text === "true"}
          onChange={({ currentTarget }) => type(String(currentTarget.checked))}
        />
      ) : kind === "json" || text.includes("\n") ? (
        <textarea
          {...common}
          rows={Math.min(10, text.split("\n").length + 1)}
          spellcheck={false}
          value={text}
          onInput={({ currentTarget }) => type(currentTarget.value)}
        />
      ) : (
        <input
          {...common}
          type="text"
          inputMode={kind === "number" ? "decimal" : "text"}
          spellcheck={false}
          autocomplete="off"
          value={text}
          onInput={({ currentTarget }) => type(currentTarget.value)}
        />
      )}
      <span id={`${id}-note`} class={shown === undefined ? "mute" : "bad"}>
        {shown ?? noteOf(kind, changed, declared)}
      </span>
    </div>
  );
}

function noteOf(kind: ParamKind, changed: boolean, declared: Json): string {
  if (kind === "secret") return "given by name in the file; its value is never shown";
  if (!changed) return kind === "json" ? "JSON" : kind;
  const text = textOf(declared).replaceAll("\n", " ");
  return `default: ${safeText(text.length > 40 ? `${text.slice(0, 39)}…` : text)}`;
}
