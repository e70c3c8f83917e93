/** Why an engine does not answer, in words. */
import { describe, expect, it } from "vitest";
import { faultText } from "../../../src/places/broker/connection-fault.ts";

const coded = (code: string, message = ""): Error => Object.assign(new Error(message), { code });

describe("why a connection failed", () => {
  it.each([
    [
      "once, where a package says it twice",
      new Error("connection refused", { cause: coded("ECONNREFUSED", "connect ECONNREFUSED ::1") }),
      "nothing listens there (ECONNREFUSED)",
    ],
    [
      "as the cause does, where the package says nothing",
      new Error("connection refused", { cause: new Error("self-signed certificate") }),
      "self-signed certificate",
    ],
    [
      "of a server that refuses without a cause",
      new Error("connection refused"),
      "connection refused",
    ],
    [
      "with what to do where nobody who is trusted signed a certificate",
      new Error("connection refused", {
        cause: coded("UNABLE_TO_VERIFY_LEAF_SIGNATURE", "unable to verify the first certificate"),
      }),
      "name the file of the authority that signed its certificate by tls.ca " +
        "(UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
    ],
    [
      "of a port without TLS",
      coded("ERR_SSL_WRONG_VERSION_NUMBER", "C0AC:error:0A00010B:SSL routines:ssl3_get_record:"),
      "it speaks no TLS at that port (ERR_SSL_WRONG_VERSION_NUMBER)",
    ],
    ["of several addresses", coded("ECONNREFUSED"), "nothing listens there (ECONNREFUSED)"],
    ["by the code, where there are no words", coded("E_OWN"), "E_OWN"],
    [
      "with its causes",
      new Error("a", { cause: new Error("b", { cause: new Error("c") }) }),
      "a: b: c",
    ],
    [
      "without what it holds already",
      new Error("no (b): do", { cause: new Error("b") }),
      "no (b): do",
    ],
    ["of what is no error", "text", "text"],
  ])("is said %s", (_, error, text) => expect(faultText(error)).toBe(text));
});
