import { expect, it } from "vitest";
import { PathFault } from "../../src/disk/path-fault.ts";
import { HeldWrites } from "../../src/engine/held-writes.ts";
import { silentLog } from "../../src/log.ts";

const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });

it("counts the writes that wait, and says each that begins to and each that goes on", () => {
  const said: string[] = [];
  const say = (_: object, text: string): void => void said.push(text);
  const held = new HeldWrites({ ...silentLog, error: say, info: say });
  expect({ count: held.count, ranOut: held.ranOut }).toEqual({ count: 0, ranOut: "" });
  // The hosts of ledgers pass it on alone.
  const { onHeld } = held;
  onHeld(true, full);
  onHeld(true, full);
  expect(held.count).toBe(2);
  const { ranOut } = held;
  expect(ranOut).not.toBe("");
  onHeld(false);
  // One that is closed while it waits stays counted.
  expect({ count: held.count, ranOut: held.ranOut }).toEqual({ count: 1, ranOut });
  const waits = `${ranOut}: what cannot be written waits`;
  expect(said).toEqual([waits, waits, "a write that waited is done"]);
});

it("names the path where that is at fault, and not the disk", () => {
  const held = new HeldWrites(silentLog);
  const fault = new PathFault("/runs/p", "EACCES");
  held.onHeld(true, fault);
  expect(held.ranOut).toBe(fault.message.replace(/\.$/, ""));
  expect(held.ranOut).toContain("/runs/p");
});
