/** Shell steps in a container of podman that runs already. */
import { beforeAll, describe } from "vitest";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../../support/containers.ts";
import { describeExec } from "./exec-suite.ts";

describe.skipIf(SKIP_CONTAINERS)("with podman", () => {
  beforeAll(readyContainers);
  describeExec(PODMAN);
});
