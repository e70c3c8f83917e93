/** The place that most tests of runs use: it is held to what the real ones are. */
import { stepLog } from "../../../src/steps/context.ts";
import { FakePool, type FakeClass, type FakeFunction } from "../../support/fake-pool.ts";
import { describePlace, ROOM } from "./suite.ts";

describePlace("of tests", () => {
  const pool = new FakePool({}, { room: ROOM });
  return {
    place: pool,
    module: async (_name, text) => {
      const exports = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as Record<
        string,
        FakeFunction | FakeClass
      >;
      for (const [name, value] of Object.entries(exports))
        pool.functions[`export:${name}`] = /^class\b/.test(String(value))
          ? value
          : (context) =>
              (value as FakeFunction)({ ...context, log: stepLog(context.print) } as never);
    },
    crash: () => {
      pool.die();
      pool.dieAlone();
    },
  };
});
