/**
 * A document without a browser, for what a component draws: Preact needs no more of one than this.
 * It has no layout and no style; what needs these is tried in a real browser. Import it before
 * anything of the page: the page's modules look at the document as they are loaded.
 */
import { render, type ComponentChild } from "preact";
import { act } from "preact/test-utils";
import { onTestFinished } from "vitest";

class PlainNode {
  parentNode: PlainElement | null = null;
  readonly childNodes: PlainNode[] = [];
  readonly ownerDocument: object = globalThis.document;

  get firstChild(): PlainNode | null {
    return this.childNodes[0] ?? null;
  }

  get nextSibling(): PlainNode | null {
    const all = this.parentNode?.childNodes ?? [];
    return all[all.indexOf(this) + 1] ?? null;
  }

  get textContent(): string {
    return this.childNodes.map((child) => child.textContent).join("");
  }

  remove(): void {
    this.parentNode?.removeChild(this);
  }
}

class PlainText extends PlainNode {
  readonly nodeType = 3;
  data: string;

  constructor(data: string) {
    super();
    this.data = data;
  }

  override get textContent(): string {
    return this.data;
  }
}

type Listener = (this: PlainElement, event: object) => void;

/** An element, with what tests ask of it. */
export class PlainElement extends PlainNode {
  readonly nodeType = 1;
  readonly localName: string;
  readonly namespaceURI: string;
  readonly attributes = new Map<string, string>();
  readonly style: Record<string, unknown> = { setProperty: () => undefined };
  readonly dataset: Record<string, string> = {};
  readonly #listeners = new Map<string, Set<Listener>>();
  scrollTop = 0;
  scrollLeft = 0;
  readonly scrollWidth = 1_000;
  readonly clientWidth = 1_000;
  readonly clientHeight = 600;
  readonly offsetWidth = 1_000;
  readonly offsetHeight = 600;

  constructor(localName: string, namespaceURI = "http://www.w3.org/1999/xhtml") {
    super();
    this.localName = localName;
    this.namespaceURI = namespaceURI;
  }

  insertBefore(node: PlainNode, before: PlainNode | null): PlainNode {
    node.remove();
    const at = before === null ? this.childNodes.length : this.childNodes.indexOf(before);
    this.childNodes.splice(at, 0, node);
    node.parentNode = this;
    return node;
  }

  appendChild(node: PlainNode): PlainNode {
    return this.insertBefore(node, null);
  }

  removeChild(node: PlainNode): PlainNode {
    this.childNodes.splice(this.childNodes.indexOf(node), 1);
    node.parentNode = null;
    return node;
  }

  /** As in a browser: what a field begins with is its attribute. */
  get defaultValue(): string {
    return this.getAttribute("value") ?? "";
  }

  set defaultValue(text: string) {
    this.setAttribute("value", text);
  }

  setAttribute(name: string, value: unknown): void {
    this.attributes.set(name, String(value));
  }

  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }

  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null;
  }

  hasAttribute(name: string): boolean {
    return this.attributes.has(name);
  }

  addEventListener(type: string, listener: Listener): void {
    const all = this.#listeners.get(type);
    if (all === undefined) this.#listeners.set(type, new Set([listener]));
    else all.add(listener);
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener);
  }

  /** What it listens to. */
  get hears(): string[] {
    return [...this.#listeners.keys()];
  }

  getBoundingClientRect(): object {
    return { x: 0, y: 0, left: 0, top: 0, right: 1_000, bottom: 600, width: 1_000, height: 600 };
  }

  /** Itself, or what it is in, of one of these elements: `a, button`. Attributes are not asked. */
  closest(names: string): PlainElement | null {
    return names.split(", ").includes(this.localName)
      ? this
      : (this.parentNode?.closest(names) ?? null);
  }

  contains(): boolean {
    return false;
  }

  matches(): boolean {
    return false;
  }

  querySelector(): null {
    return null;
  }

  querySelectorAll(): readonly never[] {
    return [];
  }

  focus(): void {}
  blur(): void {}
  showModal(): void {}
  close(): void {}
  scrollTo(): void {}
  scrollIntoView(): void {}

  /** Something happens to it; the page draws what follows. */
  async happens(type: string, more: object = {}): Promise<void> {
    await act(() => {
      const event = { type, target: this, currentTarget: this, preventDefault: () => {}, ...more };
      for (const listener of this.#listeners.get(type) ?? []) listener.call(this, event);
    });
  }

  /** All elements below it, in their order. */
  get all(): PlainElement[] {
    return this.childNodes.flatMap((child) =>
      child instanceof PlainElement ? [child, ...child.all] : [],
    );
  }

  /** The elements of a kind: `a`, `.bad`, `td.number`. */
  every(kind: string): PlainElement[] {
    const [name, ...classes] = kind.split(".");
    return this.all.filter((element) => {
      const own = (element.getAttribute("class") ?? "").split(" ");
      return (
        (name === "" || element.localName === name) && classes.every((one) => own.includes(one))
      );
    });
  }

  /** The one element of a kind. */
  one(kind: string): PlainElement {
    const [found, more] = this.every(kind);
    if (found === undefined || more !== undefined)
      throw new Error(`${found === undefined ? "no" : "more than one"} ${kind}`);
    return found;
  }

  /** What a person reads: the text, with a blank between blocks. */
  get text(): string {
    return this.childNodes
      .map((child) => (child instanceof PlainElement ? child.text : child.textContent))
      .join("")
      .replace(/^/, BLOCKS.has(this.localName) ? " " : "")
      .replaceAll(/\s+/g, " ");
  }
}

const BLOCKS = new Set("p div td th tr li h1 h2 h3 dt dd section button label small".split(" "));

const nothing = (): void => {};
/** Who listens to the window and the document. */
const heard = new Map<string, Set<(event: object) => void>>();
const hear = (type: string, listener: (event: object) => void): void =>
  void heard.set(type, (heard.get(type) ?? new Set()).add(listener));
const unhear = (type: string, listener: (event: object) => void): void =>
  void heard.get(type)?.delete(listener);

/** Something happens to the window or the document. */
export function pageHappens(type: string, event: object = {}): void {
  for (const listener of heard.get(type) ?? []) listener(event);
}

const observer = class {
  observe = nothing;
  unobserve = nothing;
  disconnect = nothing;
};
const place = new URL("http://page.test/");
const kept = new Map<string, string>();
const storage = {
  getItem: (key: string): string | null => kept.get(key) ?? null,
  setItem: (key: string, value: string): void => void kept.set(key, value),
  removeItem: (key: string): void => void kept.delete(key),
};
const body = (): PlainElement => new PlainElement("body");
const goTo = (_state: unknown, _title: string, href: string): void => void (place.href = href);

Object.assign(globalThis, {
  // The clock of the page stands: a test sets it.
  window: Object.create(globalThis, { setInterval: { value: nothing } }) as object,
  location: place,
  history: { pushState: goTo, replaceState: goTo },
  localStorage: storage,
  sessionStorage: storage,
  Element: PlainElement,
  HTMLElement: PlainElement,
  Node: PlainNode,
  ResizeObserver: observer,
  IntersectionObserver: observer,
  MutationObserver: observer,
  addEventListener: hear,
  removeEventListener: unhear,
  scrollTo: nothing,
  matchMedia: () => ({ matches: false, addEventListener: nothing, removeEventListener: nothing }),
  requestAnimationFrame: (act: () => void) => setTimeout(act, 0),
  cancelAnimationFrame: (timer: NodeJS.Timeout) => clearTimeout(timer),
  document: {
    baseURI: "http://page.test/",
    hidden: false,
    title: "",
    createElement: (name: string) => new PlainElement(name),
    createElementNS: (space: string, name: string) => new PlainElement(name, space),
    createTextNode: (text: string) => new PlainText(text),
    addEventListener: hear,
    removeEventListener: unhear,
    querySelector: () => null,
    querySelectorAll: () => [],
    getElementById: () => null,
    activeElement: null,
  },
});
Object.assign(globalThis.document, { body: body(), documentElement: new PlainElement("html") });

/** Goes to an address, before something is drawn there. */
export function atAddress(path: string): void {
  place.href = new URL(path, "http://page.test/").href;
}

/** What the server answers, by the route below /api/v1/; nothing else is answered. */
const answers = new Map<string, unknown>();
globalThis.fetch = ((url: string) => {
  const route = url.slice("http://page.test/api/v1/".length);
  if (!answers.has(route)) return new Promise(() => undefined);
  const value = answers.get(route);
  return Promise.resolve(typeof value === "string" ? new Response(value) : Response.json(value));
}) as typeof fetch;

/**
 * What a component draws, effects included, once all that it asked for was answered.
 *
 * @param answered values by route, or texts: `{ "runs?limit=50": { runs: [] } }`
 */
export async function drawn(
  component: ComponentChild,
  answered: Readonly<Record<string, unknown>> = {},
): Promise<PlainElement> {
  answers.clear();
  for (const [route, value] of Object.entries(answered)) answers.set(route, value);
  const root = body();
  await act(() => render(component, root as unknown as Element));
  // A question is asked by a timer, and its answer draws what may ask again.
  for (let turn = 0; answers.size > 0 && turn < 4; turn += 1)
    await act(() => new Promise<void>((resolve) => void setTimeout(resolve, 2)));
  onTestFinished(() => render(null, root as unknown as Element));
  return root;
}
