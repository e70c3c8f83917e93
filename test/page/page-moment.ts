/** Where and when the page is, for what its components draw without a browser. */
import { atAddress } from "./plain-document.ts";
import { now } from "../../src/page/app/clock.ts";
import { here } from "../../src/page/app/here.ts";
import { address } from "../../src/page/app/location.ts";

/** A time of the day that the page is in. */
export const at = (time: string): string => `2026-11-28T${time}.000Z`;

/** Goes to an address of the page: `runs?status=failed`. */
export function go(path: string): void {
  atAddress(path);
  const [name, query] = path.split("?");
  address.value = { path: name!, query: new URLSearchParams(query) };
}

/** It is noon, and the page, at this address, may do all that it can. */
export function atNoon(path: string): void {
  now.value = Date.parse(at("12:00:00"));
  here.value = { may: "operate", daemon: { pid: 1 } } as never;
  go(path);
}
