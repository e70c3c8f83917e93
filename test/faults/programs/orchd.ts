/** The command line from its sources: planted faults are built into all of it. */
import { runQuick } from "../../../daemon/quick.ts";

await runQuick({
  commands: () => import("../../../daemon/commands.ts"),
  page: () => import("../../../daemon/page-alone.ts"),
});
