/**
 * The first script. It brings the page's code and its style, again where the browser dropped them.
 * It is built apart from the rest: the less it is, the less is dropped.
 */
import { loadLate } from "./late-code.ts";

const code = document.querySelector<HTMLLinkElement>("#code")!;
loadLate(
  () => import(code.href),
  () => {},
);
// The browser has tried to load it before it runs a script. A sheet may be there and have nothing.
const { documentElement: whole } = document;
if (getComputedStyle(whole).getPropertyValue("--ink") === "") loadLate(loadStyle, () => {});

function loadStyle(): Promise<void> {
  const dropped = document.querySelector<HTMLLinkElement>("link[rel=stylesheet]")!;
  const link = dropped.cloneNode() as HTMLLinkElement;
  return new Promise((resolve, reject) => {
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => reject(new Error(`${link.href} did not come`)));
    dropped.replaceWith(link);
  });
}
