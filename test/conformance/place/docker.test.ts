/**
 * Steps in containers of docker: shells, modules, and in a container that runs already. All cases
 * take minutes, so most of them come with FAULTS=1 alone: podman is held to all of them.
 */
import { afterAll, beforeAll, describe } from "vitest";
import { DOCKER, SKIP_DOCKER, startDocker, type Dockerd } from "../../support/docker.ts";
import { fullFigures } from "../../support/figures.ts";
import { describeContainerModules } from "./container-modules-suite.ts";
import { describeContainerShells } from "./container-shells-suite.ts";
import { describeExec } from "./exec-suite.ts";
import { describeRegistry } from "./registry-suite.ts";

describe.skipIf(SKIP_DOCKER)("with docker", () => {
  let dockerd: Dockerd | undefined;
  beforeAll(async () => {
    dockerd = await startDocker();
    DOCKER.makeNodeImage();
  });
  afterAll(() => dockerd?.close());

  describeContainerShells(DOCKER, !fullFigures);
  describeExec(DOCKER, !fullFigures);
  describeContainerModules(DOCKER, !fullFigures);
  describeRegistry(DOCKER, !fullFigures);
});
