/** Images of a registry, by podman. */
import { beforeAll, describe } from "vitest";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../../support/containers.ts";
import { describeRegistry } from "./registry-suite.ts";

describe.skipIf(SKIP_CONTAINERS)("with podman", () => {
  beforeAll(readyContainers);
  describeRegistry(PODMAN);
});
