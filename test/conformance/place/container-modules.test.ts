/** Module steps in an image with Node, by podman. */
import { beforeAll, describe } from "vitest";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../../support/containers.ts";
import { describeContainerModules } from "./container-modules-suite.ts";

describe.skipIf(SKIP_CONTAINERS)("with podman", () => {
  beforeAll(() => {
    readyContainers();
    PODMAN.makeNodeImage();
  });
  describeContainerModules(PODMAN);
});
