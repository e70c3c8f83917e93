/** `orchd alerts`, as the built program. */
import { describe, expect, it } from "vitest";
import { emptyNotifyState } from "../../src/core/notify-state.ts";
import type { AlertsView } from "../../src/views/alerts.ts";
import { ask } from "../support/asked-command.ts";
import { orchd } from "../support/daemon.ts";
import { alertOf, firingOf, rootWithAlerts, writeAlerts } from "../support/made-up-alerts.ts";
import { tempRoot } from "../support/temp-root.ts";

describe("orchd alerts", () => {
  it("says how alerts are set up where there are none", async () => {
    const { root } = tempRoot();
    const { status, stdout, stderr } = await ask(root, "alerts");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(
      "nobody is told: orchd.yaml has no `notify`. Name channels there, and `orchd validate` " +
        "checks them; docs/alerts.md has each kind.\n",
    );
  });

  it("shows what fires, waits and was given up, and that nothing is sent", async () => {
    const { root } = await rootWithAlerts();
    const { status, stdout, stderr } = await ask(root, "alerts");
    expect([status, stderr]).toEqual([0, ""]);
    const lines = stdout.split("\n").map((line) => line.trim().replaceAll(/ {2,}/g, " | "));
    expect(lines[0]).toMatch(/^nothing is sent: `orchd notify` does not run\. /);
    expect(lines[1]).toMatch(/^what follows is as of 2026-11-23 09:30:02Z, /);
    expect(lines).toContain("3 alerts fire");
    expect(lines.find((line) => line.startsWith("missed"))).toMatch(
      /^missed \| etl \| .* ago \| 1 \| no: it is a quiet hour \| step "load" failed$/,
    );
    expect(lines).toContain("1 message waits");
    expect(lines.find((line) => line.includes("no answer within 30s"))).toMatch(
      /^chat \| missed, etl, 3 times \| .* ago \| 2 \| .* \| no answer within 30s$/,
    );
    expect(lines).toContain("1 message was given up");
    expect(lines).toContain("3 channels");
    expect(lines.find((line) => line.startsWith("chat | slack"))).toBe(
      "chat | slack | broken | 0 | 2 | 1 | never",
    );
  });

  it("prints the view as JSON", async () => {
    const { root } = await rootWithAlerts();
    const { status, json } = await ask(root, "alerts", "--json");
    const view = json<AlertsView>();
    expect(status).toBe(0);
    expect(view.counts).toEqual({ firing: 3, waiting: 1 });
    expect(view.gaveUp).toMatchObject([{ channel: "chat", fault: "404: there is no such hook" }]);
  });

  it("lets no text from outside reach the terminal as it is", async () => {
    const root = tempRoot();
    const evil = "\u001b]0;owned\u0007\u001b[2J\r\n\u202e<script>";
    const state = emptyNotifyState();
    const firing = firingOf({ because: evil.repeat(200), run: evil });
    state.pipelines.set(`p${evil}`, { firing: new Map([["failed", firing]]), waits: new Map() });
    await writeAlerts(
      root,
      [[alertOf(1, { because: evil, channel: `c${evil}` }), { how: "gave_up", because: evil }]],
      state,
    );
    for (const words of [["alerts"], ["alerts", "--json"]]) {
      const { status, stdout } = await orchd(root.root, ...words);
      expect(status).toBe(0);
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
    }
  });
});
