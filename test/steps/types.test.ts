/**
 * The types for pipelines in code. The compiler checks this file (`npm run typecheck`, a part of
 * `npm test`): what it must refuse stands under `@ts-expect-error`, and an expected error that does
 * not come is an error.
 */
import { expectTypeOf, it } from "vitest";
import { BaseOrchestrator, dynamicPipeline, pipeline, step, unmapped, z } from "../../src/index.ts";
import type {
  Capabilities,
  DynamicRun,
  Loose,
  PipelineSubmission,
  Step,
  StepContext,
  StepHandle,
} from "../../src/index.ts";

const read = step(
  async ({ params }: StepContext<{ path: string; limit?: number; tags?: string[] }>) => [
    { name: params.path, at: new Date(0), size: params.limit },
  ],
);
const total = step(
  ({ inputs }: { inputs: { rows: { name: string; at: string }[] } }) => ({
    sum: inputs.rows.length,
    note: "x",
  }),
  {
    outputs: ["sum", "note"],
  },
);
const show = step(({ inputs }: { inputs: { sum: number; note?: string } }) => void inputs.sum);
const list = step(async () => [1, 2, 3]);
const square = step(async ({ inputs }: { inputs: { x: number } }) => inputs.x ** 2);
const add = step(({ inputs }: { inputs: { x: number; y: number } }) => inputs.x + inputs.y);
const loose = async ({ inputs }: StepContext) => inputs["anything"] as unknown;

it("step() infers what it takes and what it gives", () => {
  expectTypeOf(square).toEqualTypeOf<Step<Loose, { x: number }, number>>();
  expectTypeOf(read).returns.resolves.toEqualTypeOf<
    { name: string; at: Date; size: number | undefined }[]
  >();
  expectTypeOf(list).returns.resolves.toEqualTypeOf<number[]>();
  expectTypeOf<StepContext["signal"]>().toEqualTypeOf<AbortSignal>();
});

it("pipeline() takes inputs that fit after JSON, by step or by output: a date is text", () => {
  const made = pipeline({
    steps: {
      read: { uses: read, params: { path: "${params.path}", tags: ["a"] } },
      total: { uses: total, inputs: { rows: "read" } },
      show: { uses: show, inputs: { sum: "total.sum" }, after: "read" },
      both: {
        uses: show,
        inputs: { sum: "total.sum", note: "total.note" },
        after: ["read", "shell"],
      },
      shell: { run: 'cat "$ORCHD_INPUT_rows"', inputs: { rows: "read" } },
      any: { uses: loose, inputs: { anything: "shell" } },
      file: { uses: "./steps/file.ts", inputs: { x: "total" } },
      ofFile: { uses: show, inputs: { sum: "file.anything" } },
      inline: { uses: async () => 1 },
      secret: { uses: read, params: { path: { secret: "PATH_NAME" }, limit: "${params.limit}" } },
    },
  });
  expectTypeOf(made.name).toEqualTypeOf<string | undefined>();
});

it("pipeline() refuses what does not fit", () => {
  const rows = { uses: read, params: { path: "/" } } as const;
  // @ts-expect-error rows are no number
  pipeline({ steps: { rows, show: { uses: show, inputs: { sum: "rows" } } } });
  pipeline({
    steps: {
      rows,
      total: { uses: total, inputs: { rows: "rows" } },
      // @ts-expect-error the output is a text
      show: { uses: show, inputs: { sum: "total.note" } },
    },
  });
  pipeline({
    steps: {
      rows,
      total: { uses: total, inputs: { rows: "rows" } },
      // @ts-expect-error no such output
      show: { uses: show, inputs: { sum: "total.count" } },
    },
  });
  // @ts-expect-error no such step
  pipeline({ steps: { show: { uses: show, inputs: { sum: "totl" } } } });
  // @ts-expect-error an input that the step needs is missing
  pipeline({ steps: { show: { uses: show, inputs: {} } } });
  // @ts-expect-error so are all
  pipeline({ steps: { show: { uses: show } } });
  // @ts-expect-error a param of another type
  pipeline({ steps: { rows: { uses: read, params: { path: 3 } } } });
  // @ts-expect-error a param that the step does not know
  pipeline({ steps: { rows: { uses: read, params: { path: "/", pth: "/" } } } });
  // @ts-expect-error after a step that is not there
  pipeline({ steps: { rows: { uses: read, params: { path: "/" }, after: ["nobody"] } } });
  expectTypeOf(pipeline).toBeCallableWith({ steps: { rows } });
  // @ts-expect-error an unknown key
  pipeline({ shedule: { cron: "@daily" }, steps: { rows } });
});

it("a dynamic pipeline's calls are checked like any call", () => {
  dynamicPipeline({ name: "sweep" }, async (run) => {
    expectTypeOf(run).toEqualTypeOf<DynamicRun>();
    const numbers = await run.step(list);
    expectTypeOf(numbers).toEqualTypeOf<number[]>();
    expectTypeOf(await run.map(square, { x: numbers })).toEqualTypeOf<number[]>();
    expectTypeOf(await run.map(add, { x: numbers, y: unmapped(4) })).toEqualTypeOf<number[]>();
    expectTypeOf(await run.map(square, { x: run.submit(list) })).toEqualTypeOf<number[]>();
    expectTypeOf(await run.product(add, { x: [1], y: [2, 3] })).toEqualTypeOf<number[]>();
    const handle = run.submit(square, { inputs: { x: 2 } });
    expectTypeOf(handle).toEqualTypeOf<StepHandle<number>>();
    expectTypeOf(await handle.result()).toEqualTypeOf<number>();
    await run.step(add, {
      inputs: { x: handle, y: run.submit(square, { inputs: { x: handle } }) },
      after: [handle, "square"],
      id: "sum",
    });
    const parts = run.submit(total, {
      inputs: { rows: await run.step(read, { params: { path: "/" } }) },
    });
    await run.step(show, { inputs: { sum: parts.output("sum") } });
    await run.step(loose);
    // @ts-expect-error a text is no number
    await run.step(square, { inputs: { x: "2" } });
    // @ts-expect-error the step needs an input
    await run.step(square);
    // @ts-expect-error and this one
    await run.step(add, { inputs: { x: 1 } });
    // @ts-expect-error another output's type
    await run.step(show, { inputs: { sum: parts.output("note") } });
    // @ts-expect-error no such output
    parts.output("count");
    // @ts-expect-error items of another type
    await run.map(square, { x: ["a"] });
    // @ts-expect-error one list is missing
    await run.map(add, { x: [1] });
  });
});

it("an orchestrator's config has its schema's type, and capabilities may be a getter", () => {
  const config = z.object({ endpoint: z.url(), pollSeconds: z.number().default(5) });
  class Member extends BaseOrchestrator<typeof config> {
    static flavor = "member";
    static config = config;
    override readonly capabilities = { isSchedulable: true };
    getOrchestratorRunId(): string {
      expectTypeOf(this.config).toEqualTypeOf<{ endpoint: string; pollSeconds: number }>();
      return this.config.endpoint;
    }
    async submitPipeline({ snapshot, stepEnvironments, placeholderRun }: PipelineSubmission) {
      expectTypeOf(snapshot.steps[0]!.id).toEqualTypeOf<string>();
      expectTypeOf(stepEnvironments).toEqualTypeOf<
        Readonly<Record<string, Readonly<Record<string, string>>>>
      >();
      for (const one of snapshot.steps) await this.runStep(one);
      return { metadata: { id: placeholderRun.id } };
    }
  }
  class Boasts extends BaseOrchestrator {
    override get capabilities(): Partial<Capabilities> {
      return { supportedExecutionModes: ["fail_fast"] };
    }
    getOrchestratorRunId = () => "x";
    submitPipeline = () => Promise.resolve(undefined);
  }
  expectTypeOf<InstanceType<typeof Boasts>["capabilities"]>().toEqualTypeOf<
    Partial<Capabilities>
  >();
  class Fields extends Member {
    override readonly environment = { REGION: "eu" };
  }
  class Getter extends Member {
    override get environment(): Readonly<Record<string, string>> {
      return { ...super.environment, REGION: "eu" };
    }
  }
  class Sentence extends Member {
    // @ts-expect-error a component's environment holds texts
    override readonly environment = { COUNT: 1 };
  }
  expectTypeOf<InstanceType<typeof Fields>["environment"]>().toEqualTypeOf<{ REGION: string }>();
  expectTypeOf<InstanceType<typeof Getter>["environment"]>().toEqualTypeOf<
    Readonly<Record<string, string>>
  >();
  expectTypeOf(Sentence).toBeConstructibleWith({ endpoint: "https://x.example" });
  expectTypeOf(Member).toBeConstructibleWith({ endpoint: "https://x.example" });
  // @ts-expect-error a flavor has to write both methods
  class Nothing extends BaseOrchestrator {}
  expectTypeOf(Nothing).toBeConstructibleWith();
});
