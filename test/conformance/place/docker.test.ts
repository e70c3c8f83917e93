/**
 * Steps in containers of docker: shells, modules, and in a container that runs already. All cases
 * take minutes, so all but brief ones of shells come with FAULTS=1 alone: podman is held to all.
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
    if (fullFigures) DOCKER.makeNodeImage();
  });
  afterAll(() => dockerd?.close());

  describeContainerShells(DOCKER, !fullFigures);
  if (!fullFigures) return;
  describeExec(DOCKER, false);
  describeContainerModules(DOCKER, false);
  describeRegistry(DOCKER, false);
});
