import { StackComponent } from "./stack-component.ts";

/** The artifact store that orchd has itself: files in the runs folder (docs/ledger.md). */
export class LocalArtifactStore extends StackComponent {
  static flavor = "local";
  readonly type = "artifact_store" as const;

  constructor() {
    super({}, "runs");
  }
}
