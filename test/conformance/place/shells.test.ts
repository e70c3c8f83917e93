/** Shell steps, on this machine and in containers of podman, held to one suite. */
import { beforeAll, describe } from "vitest";
import { PODMAN, readyContainers, SKIP_CONTAINERS } from "../../support/containers.ts";
import { PoolRig } from "../../support/pool-rig.ts";
import { describeContainerShells } from "./container-shells-suite.ts";
import { describeShells } from "./shell-suite.ts";

describeShells(
  "local",
  { lane: "shell", signalsAll: true, signalIsStatus: false, isShared: true },
  () => ({
    place: new PoolRig({ threads: 2 }).pool,
  }),
);

describe.skipIf(SKIP_CONTAINERS)("with podman", () => {
  beforeAll(readyContainers);
  describeContainerShells(PODMAN);
});
