/** What is told of alerts and of receivers that were not reached, to the letter. */
import { expect, it } from "vitest";
import { ALERT_KINDS } from "../../src/core/alert.ts";
import { kindText, messageText, untoldText } from "../../src/core/alert-words.ts";
import { connectionFault } from "../../src/notify/channels/connection-fault.ts";

it("each kind of alert has its words", () => {
  expect(Object.fromEntries(ALERT_KINDS.map((kind) => [kind, kindText(kind)]))).toEqual({
    failed: "failed",
    missed: "missed",
    late: "late",
    overdue: "overdue",
    invalid: "invalid file",
    recovered: "recovered",
    queued: "queued too long",
    disk_full: "disk full",
    restarted: "daemon restarted",
    damaged: "ledger damaged",
    channel_broken: "channel broken",
  });
  expect(kindText("of_tomorrow")).toBe("of_tomorrow");
});

it.each([
  [null, "it is not sent yet"],
  ["after", "its rule waits for more in a row"],
  ["quiet", "it is a quiet hour"],
  ["group", "it is gathered with others"],
  ["paused", "its pipeline is paused"],
  ["silenced", "its pipeline is silent"],
  ["no_rule", "no rule names it"],
  ["of_tomorrow", "of_tomorrow"],
])("nobody was told (%s): %s", (untold, text) => {
  expect(untoldText(untold)).toBe(text);
});

it.each([
  [{ kind: "failed", of: null, pipeline: "etl", count: 1 }, "failed, etl"],
  [{ kind: "failed", of: null, pipeline: "etl", count: 2 }, "failed, etl, 2 times"],
  [{ kind: "missed", of: null, pipeline: "etl", count: 999 }, "missed, etl, 999 times"],
  [{ kind: "missed", of: null, pipeline: "etl", count: 1_000 }, "missed, etl, at least 1000 times"],
  [{ kind: "recovered", of: "disk_full", pipeline: null, count: 1 }, "recovered from disk full"],
])("%j is %s", (message, text) => {
  expect(messageText(message)).toBe(text);
});

const AUTHORITY =
  "h has a certificate that no trusted authority signed: name the authority's file with `ca`";
it.each([
  ["ECONNREFUSED", "h refuses connections"],
  ["ECONNRESET", "h closed the connection before it answered"],
  ["EPIPE", "h closed the connection before it answered"],
  ["ENOTFOUND", "h is a name that does not exist"],
  ["EAI_AGAIN", "h is a name that cannot be looked up now: no name server answers"],
  ["EHOSTUNREACH", "h cannot be reached from this machine"],
  ["ENETUNREACH", "h cannot be reached from this machine"],
  ["ETIMEDOUT", "h does not answer"],
  ["ERR_TLS_CERT_ALTNAME_INVALID", "h has a certificate for another name"],
  ["CERT_HAS_EXPIRED", "h has a certificate that has expired"],
  ["CERT_NOT_YET_VALID", "h has a certificate that is not valid yet: check this machine's clock"],
  ["EPROTO", "h does not speak TLS there: check the port, or write http:"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "h does not speak TLS there: check the port, or write http:"],
  ["HPE_HEADER_OVERFLOW", "h answers with more header lines than are read"],
  ["HPE_INVALID_CONSTANT", "h answers with something that is not HTTP"],
  ["ERR_SSL_X", "h and this machine do not agree on TLS (ERR_SSL_X)"],
  ["ERR_TLS_X", "h and this machine do not agree on TLS (ERR_TLS_X)"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", AUTHORITY],
  ["SELF_SIGNED_CERT_IN_CHAIN", AUTHORITY],
  ["UNABLE_TO_GET_ISSUER_CERT", AUTHORITY],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", AUTHORITY],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", AUTHORITY],
  ["CERT_UNTRUSTED", AUTHORITY],
  ["EOTHER", "h cannot be reached (EOTHER)"],
])("of %s: %s", (code, clause) => {
  const error = Object.assign(new Error("node's own text"), { code });
  expect(connectionFault(error, "h")).toBe(clause);
  // Of several addresses the first tells.
  expect(connectionFault(new AggregateError([error, new Error("x")]), "h")).toBe(clause);
  expect(connectionFault(new AggregateError([error]), "h")).toBe(clause);
});

it("of an error without a code its own words are told", () => {
  expect(connectionFault(new Error("odd"), "h")).toBe("h cannot be reached (odd)");
  expect(connectionFault("odd", "h")).toBe("h cannot be reached (odd)");
});
