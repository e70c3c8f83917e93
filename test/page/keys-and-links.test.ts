/** Keys, clicks on links, the browser's Back and a hidden tab: what the page makes of each. */
import { atAddress, drawn, pageHappens, PlainElement } from "./plain-document.ts";
import { h, render } from "preact";
import { act } from "preact/test-utils";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { now } from "../../src/page/app/clock.ts";
import { keys, useKeys, type Key } from "../../src/page/app/keys.ts";
import { address, go, hrefOf, setQuery, withQuery } from "../../src/page/app/location.ts";
import { countText, someText } from "../../src/page/app/words.ts";

/** An element, in these. */
function element(...names: string[]): PlainElement {
  let inner = new PlainElement("body");
  for (const name of names) inner = inner.appendChild(new PlainElement(name)) as PlainElement;
  return inner;
}

/** An event, and whether it was taken from the browser. */
const eventOf = (more: object) => {
  const event = { defaultPrevented: false, preventDefault: vi.fn<() => void>(), ...more };
  return { event, isTaken: () => event.preventDefault.mock.calls.length > 0 };
};

describe("keys", () => {
  let pressed: string[] = [];
  const of = (...given: string[]): Key[] =>
    given.map((text) => ({ key: text[0]!, does: text, run: () => void pressed.push(text) }));
  function Page({ given }: { readonly given: readonly Key[] }) {
    useKeys(given);
    return null;
  }
  const press = (key: string, more: object = {}): [string | undefined, boolean] => {
    pressed = [];
    const { event, isTaken } = eventOf({ key, target: element("main"), ...more });
    pageHappens("keydown", event);
    expect(pressed.length).toBeLessThan(2);
    return [pressed[0], isTaken()];
  };

  it("do what the newest page says, and what it said last", async () => {
    const frame = await drawn(h(Page, { given: of("j frame", "/ search") }));
    const page = await drawn(h(Page, { given: of("j page") }));
    expect(keys.value.flat().map(({ does }) => does)).toEqual(["j frame", "/ search", "j page"]);
    expect(press("j")).toEqual(["j page", true]);
    expect(press("/")).toEqual(["/ search", true]);
    expect(press("x")).toEqual([undefined, false]);
    await drawnAgain(page, of("j later"));
    expect(press("j")).toEqual(["j later", true]);
    await gone(page);
    expect(press("j")).toEqual(["j frame", true]);
    await gone(frame);
    expect([press("j"), keys.value]).toEqual([[undefined, false], []]);
  });

  const drawnAgain = (root: PlainElement, given: readonly Key[]): Promise<void> =>
    act(() => render(h(Page, { given }), root as unknown as Element));
  const gone = (root: PlainElement): Promise<void> =>
    act(() => render(null, root as unknown as Element));

  it("work as soon as the page is drawn, and not when the browser has shown it", () => {
    const body = new PlainElement("body");
    render(h(Page, { given: of("j page") }), body as unknown as Element);
    onTestFinished(() => render(null, body as unknown as Element));
    expect(press("j")).toEqual(["j page", true]);
  });

  it("are the browser's, or what is typed, where somebody is at something", async () => {
    await drawn(
      h(Page, {
        given: of("j page", "Enter").map((key) => ({
          ...key,
          key: key.does === "Enter" ? "Enter" : "j",
        })),
      }),
    );
    for (const name of ["ctrlKey", "metaKey", "altKey", "defaultPrevented"])
      expect(press("j", { [name]: true })).toEqual([undefined, false]);
    expect(press("j", { shiftKey: true })).toEqual(["j page", true]);
    for (const name of ["input", "textarea", "select", "dialog"])
      expect(press("j", { target: element(name, "b") })).toEqual([undefined, false]);
    for (const name of ["a", "button", "summary"]) {
      expect(press("Enter", { target: element(name) })).toEqual([undefined, false]);
      expect(press("j", { target: element(name) })).toEqual(["j page", true]);
    }
    expect(press("Enter")).toEqual(["Enter", true]);
    expect(press("j", { target: document })).toEqual(["j page", true]);
  });
});

describe("a click on a link", () => {
  const click = (href: string, more: object = {}, attributes: Record<string, string> = {}) => {
    atAddress("runs?status=failed");
    address.value = { path: "runs", query: new URLSearchParams("status=failed") };
    const link = element("p", "a");
    link.setAttribute("href", href);
    for (const [name, value] of Object.entries(attributes)) link.setAttribute(name, value);
    const target = link.appendChild(new PlainElement("b"));
    const { event, isTaken } = eventOf({ button: 0, target, ...more });
    pageHappens("click", event);
    return isTaken() ? address.value.path : undefined;
  };

  it("within the page goes there without loading it", () => {
    expect(click("http://page.test/pipelines/etl?zone=mine")).toBe("pipelines/etl");
    expect(address.value.query.get("zone")).toBe("mine");
    expect(click("/slots/")).toBe("slots");
    expect(click("runs/a%20b")).toBe("runs/a b");
    expect(click("runs/100%")).toBe("runs/100%");
  });

  it.each(["metaKey", "ctrlKey", "shiftKey", "altKey", "defaultPrevented"])(
    "with %s is the browser's",
    (name) => {
      expect(click("/slots", { [name]: true })).toBeUndefined();
    },
  );

  it("with another button, to another place, or to a file is the browser's", () => {
    expect(click("/slots", { button: 1 })).toBeUndefined();
    expect(click("http://other.test/slots")).toBeUndefined();
    expect(click("/api/v1/status")).toBeUndefined();
    expect(click("/apis")).toBe("apis");
    expect(click("/slots", {}, { download: "" })).toBeUndefined();
    expect(click("/slots", {}, { target: "_blank" })).toBeUndefined();
    expect(click("/slots", {}, { target: "_self" })).toBe("slots");
    expect(click("/slots", { target: element("p") })).toBeUndefined();
    expect(click("/slots", { target: element("p", "a") })).toBeUndefined();
  });

  it("and the browser's Back shows what the address says", () => {
    click("/slots");
    atAddress("runs/etl@1/?q=a");
    pageHappens("popstate");
    expect([address.value.path, address.value.query.get("q")]).toEqual(["runs/etl@1", "a"]);
  });
});

describe("an address", () => {
  beforeEach(() => {
    atAddress("runs?zone=mine&status=failed&q=a");
    address.value = { path: "runs", query: new URLSearchParams("zone=mine&status=failed&q=a") };
  });

  it("has the zone, and no key without a value", () => {
    const query = { a: 1, b: "", c: null, d: undefined };
    expect(hrefOf(["runs", "etl@1", "a/b"], query, "log")).toBe(
      "http://page.test/runs/etl@1/a%2Fb?a=1&zone=mine#log",
    );
    expect(hrefOf([], { zone: "UTC" })).toBe("http://page.test/?zone=UTC");
    expect(withQuery({ status: null, q: "", x: 0 })).toBe("http://page.test/runs?zone=mine&x=0");
  });

  it("is a new entry for Back unless it takes the place of the old one", () => {
    const made: string[] = [];
    const { pushState, replaceState } = history;
    const note = (name: string) => (_state: unknown, _title: string, href: string) =>
      void made.push(`${name} ${href}`);
    let scrolled = 0;
    Object.assign(history, { pushState: note("push"), replaceState: note("replace") });
    Object.assign(globalThis, { scrollTo: () => (scrolled += 1) });
    go("http://page.test/runs?q=b");
    expect(scrolled).toBe(0);
    go("http://page.test/slots", { replace: true });
    expect(scrolled).toBe(1);
    expect(made).toEqual(["push http://page.test/runs?q=b", "replace http://page.test/slots"]);
    Object.assign(history, { pushState, replaceState });
  });

  it("goes on where the browser takes no more changes now, and brings all with the next", () => {
    const { replaceState } = history;
    onTestFinished(() => void Object.assign(history, { replaceState }));
    atAddress("pipelines/etl?a=1");
    pageHappens("popstate");
    const throws = (): never => {
      throw new DOMException("too many changes", "SecurityError");
    };
    Object.assign(history, { replaceState: throws });
    setQuery({ b: "2" });
    setQuery({ c: "3" });
    expect(address.value.query.toString()).toBe("a=1&b=2&c=3");
    Object.assign(history, { replaceState });
    setQuery({ d: "4" });
    expect(location.search).toBe("?a=1&b=2&c=3&d=4");
    Object.assign(history, { replaceState: throws });
    setQuery({ e: "5" });
    // Back goes to what the browser has.
    pageHappens("popstate");
    expect(address.value.query.toString()).toBe("a=1&b=2&c=3&d=4");
  });
});

it("the clock moves as a tab is seen again, and not while it is hidden", () => {
  now.value = 5;
  Object.assign(document, { hidden: true });
  pageHappens("visibilitychange");
  expect(now.value).toBe(5);
  Object.assign(document, { hidden: false });
  pageHappens("visibilitychange");
  expect(now.value).toBeGreaterThan(5);
});

it.each<[string[], number | undefined, string]>([
  [[], undefined, ""],
  [["a"], undefined, "a"],
  [["a", "b"], undefined, "a and b"],
  [["a", "b", "c"], undefined, "a, b and c"],
  [["a", "b", "c", "d"], undefined, "a, b, c and 1 more"],
  [["a", "b", "c", "d"], 1, "a and 3 more"],
])("the names %j are said in words", (names, most, text) => {
  expect(someText(names, most)).toBe(text);
});

it.each([
  [0, "0 tries"],
  [1, "1 try"],
  [1_234, "1,234 tries"],
])("%i in words", (count, text) => {
  expect(countText(count, "try", "tries")).toBe(text);
});
