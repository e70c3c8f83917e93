/** Stacks of live components, and their environments. */
import { describe, expect, it } from "vitest";
import {
  BaseOrchestrator,
  LocalArtifactStore,
  Stack,
  StackComponent,
  z,
  type PipelineSubmission,
} from "../../src/index.ts";

class Remote extends BaseOrchestrator {
  static flavor = "remote";
  override get environment(): Record<string, string> {
    return { FROM: "orchestrator", REGION: "eu" };
  }
  getOrchestratorRunId(): string {
    return "1";
  }
  submitPipeline(_submission: PipelineSubmission): Promise<void> {
    return Promise.resolve();
  }
}

const bucket = z.object({ bucket: z.string() });

class Store extends StackComponent<typeof bucket> {
  static flavor = "s3";
  static config = bucket;
  readonly type = "artifact_store" as const;
  override get environment(): Record<string, string> {
    return { FROM: "store", BUCKET: this.config.bucket };
  }
}

class Pager extends StackComponent {
  readonly type = "alerter" as const;
  readonly #environment: Record<string, string>;
  constructor(environment: Record<string, string>) {
    super();
    this.#environment = environment;
  }
  override get environment(): Record<string, string> {
    return this.#environment;
  }
}

describe("a stack", () => {
  it("holds its components themselves", () => {
    const orchestrator = new Remote();
    const artifactStore = new Store({ bucket: "b" });
    const alerters = [new Pager({})];
    const stack = new Stack({ name: "prod", orchestrator, artifactStore, alerters });
    expect(stack.name).toBe("prod");
    expect(stack.orchestrator).toBe(orchestrator);
    expect(stack.artifactStore).toBe(artifactStore);
    expect(stack.alerters[0]).toBe(alerters[0]);
  });

  it("has the runs folder as its artifact store, and no alerters, where nothing is said", () => {
    const stack = new Stack({ name: "default", orchestrator: new Remote() });
    expect(stack.artifactStore).toBeInstanceOf(LocalArtifactStore);
    expect(stack.artifactStore).toMatchObject({ type: "artifact_store", name: "runs" });
    expect(stack.alerters).toEqual([]);
  });

  it("merges environments: the orchestrator's, the store's, the alerters' in order", () => {
    const stack = new Stack({
      name: "prod",
      orchestrator: new Remote(),
      artifactStore: new Store({ bucket: "b" }),
      alerters: [new Pager({ PAGE: "1" }), new Pager({ PAGE: "2" })],
    });
    expect(stack.environment).toEqual({ FROM: "store", REGION: "eu", BUCKET: "b", PAGE: "2" });
  });

  it("refuses a component that is of another type than its place", () => {
    const wanted = (type: string, given: string): string =>
      `A stack's ${type} is a component of type ${type}, and this one's is ${given}.`;
    expect(
      () => new Stack({ name: "s", orchestrator: new Store({ bucket: "b" }) as never }),
    ).toThrow(wanted("orchestrator", "artifact_store"));
    const orchestrator = new Remote();
    expect(() => new Stack({ name: "s", orchestrator, alerters: [orchestrator as never] })).toThrow(
      wanted("alerter", "orchestrator"),
    );
    expect(() => new Stack({ name: "s", orchestrator: undefined as never })).toThrow(
      wanted("orchestrator", "undefined"),
    );
  });

  it.each([
    [{ PORT: 80 }, "has PORT, which is a number: give a text."],
    [{ PORT: undefined }, "has PORT, which is undefined: give a text."],
    [{ TOKEN: { secret: "token" } }, "has TOKEN, which is an object: give a text."],
    [["A=1"], "is a list: give an object of texts"],
    ["A=1", "is a string: give an object of texts"],
    [Promise.resolve({}), "is a promise: give an object of texts"],
    [null, "is null: give an object of texts"],
    [{ "A=B": "1" }, 'names "A=B": a name has letters, digits and _'],
    [{ A: "x\0y" }, "A holds a NUL character, which no environment can."],
    [{ A: "x".repeat(200_000) }, "A has 200002 bytes with its name"],
  ])("refuses the environment %j with a sentence that names the component", (given, why) => {
    const stack = new Stack({
      name: "s",
      orchestrator: new Remote(),
      alerters: [new Pager(given as never)],
    });
    expect(() => stack.environment).toThrow(`The environment of the alerter Pager ${why}`);
  });

  it("says whose environment throws, also where only a value of it does", () => {
    class Throwing extends Remote {
      override get environment(): Record<string, string> {
        throw new Error("no credentials");
      }
    }
    class Member extends Remote {
      override get environment(): Record<string, string> {
        return {
          get A(): string {
            throw new TypeError("no A");
          },
        };
      }
    }
    const sentence = "The environment of the orchestrator remote cannot be read: ";
    const stack = new Stack({ name: "s", orchestrator: new Throwing() });
    expect(() => stack.environment).toThrow(`${sentence}no credentials`);
    expect(() => new Throwing().describe()).toThrow(`${sentence}no credentials`);
    expect(() => new Member().describe()).toThrow(`${sentence}no A`);
  });
});

describe("a component's environment", () => {
  const build = (): string => "b";
  it("may be a member or a getter", () => {
    class Bare extends BaseOrchestrator {
      readonly getOrchestratorRunId = (): string => "1";
      submitPipeline(): Promise<void> {
        return Promise.resolve();
      }
    }
    class Member extends Bare {
      override readonly environment = { OWN: build() };
    }
    class Again extends Member {}
    class Above extends Bare {
      override get environment(): Record<string, string> {
        return { ...super.environment, MORE: "1" };
      }
    }
    const expectAll = (orchestrator: BaseOrchestrator, expected: object): void => {
      expect(orchestrator.environment).toEqual(expected);
      expect(orchestrator.describe().environment).toEqual(expected);
      expect(new Stack({ name: "s", orchestrator }).environment).toEqual(expected);
    };
    expectAll(new Member(), { OWN: "b" });
    expectAll(new Again(), { OWN: "b" });
    expectAll(new Bare(), {});
    expectAll(new Above(), { MORE: "1" });
    expect(new LocalArtifactStore().environment).toEqual({});
  });
});

describe("a method that takes a run", () => {
  const sentence = (name: string): string =>
    `has ${name} as a field: orchd cannot hear of its calls. Write it as a method of the class`;
  class Submits extends BaseOrchestrator {
    getOrchestratorRunId = (): string => "1";
    submitPipeline = (): Promise<void> => Promise.resolve();
  }
  class Dynamic extends Remote {
    override submitDynamicPipeline = (): Promise<void> => Promise.resolve();
  }
  class Asks extends Remote {
    override fetchStatus = (): Promise<object> => Promise.resolve({});
  }
  class Stops extends Remote {
    override stopRun = (): Promise<void> => Promise.resolve();
  }
  class Binds extends Remote {
    constructor() {
      super();
      // oxlint-disable-next-line typescript/no-misused-promises -- what people write
      this.submitPipeline = this.submitPipeline.bind(this);
    }
  }

  it.each([
    ["submitPipeline", Submits],
    ["submitDynamicPipeline", Dynamic],
    ["fetchStatus", Asks],
    ["stopRun", Stops],
    ["submitPipeline", Binds],
  ] as const)("is refused as a field, with what to write: %s", (name, type) => {
    const orchestrator = new type();
    expect(() => orchestrator.describe()).toThrow(sentence(name));
    expect(() => new Stack({ name: "s", orchestrator })).toThrow(sentence(name));
  });

  it("is none of the others: getOrchestratorRunId may be a field", () => {
    class Named extends Remote {
      override getOrchestratorRunId = (): string => "2";
    }
    expect(new Named().describe().flavor).toBe("remote");
  });
});
