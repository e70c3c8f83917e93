/**
 * `process.env` in a worker thread, set up for each step.
 *
 * A thread has one `process.env`, which its steps use one after the other. Comparing and resetting
 * it costs as much as a small step, and most steps never look at it. So it stands behind a getter,
 * and is set up when a step first touches it. From then on some code may have kept a reference
 * (`const { env } = process`), so it is set up before every step. Node's module loader looks at a
 * variable with each import, and keeps nothing: that does not count.
 */
import { TOKEN_VARIABLE } from "../core/task.ts";

const { captureStackTrace } = Error;
/** The header of a stack, the getter, and a function of Node's module loader as its caller. */
const LOADER = /^.*\n.*\n +at (?:.* \()?node:internal\/modules\//;

/** The environment of one thread. */
export class StepEnv {
  readonly #real: NodeJS.ProcessEnv;
  readonly #base: Readonly<Record<string, string>>;
  readonly #token: string;
  #wanted: Readonly<Record<string, string>> = {};
  #id = "";
  #isSet = false;
  #wasTouched = false;

  /** @param base the variables of every step; a step's own ones override them */
  constructor(base: Readonly<Record<string, string>>, token: string) {
    this.#real = process.env;
    this.#base = base;
    this.#token = token;
    Object.defineProperty(process, "env", {
      configurable: true,
      enumerable: true,
      get: () => {
        this.#wasTouched ||= !isAskedByLoader();
        this.#establish();
        return this.#real;
      },
      // A step that assigns another object changes the environment for itself alone.
      set: (value: Record<string, unknown>) => {
        this.#wasTouched = true;
        this.#replace(
          Object.fromEntries(Object.entries(value).map(([name, text]) => [name, String(text)])),
        );
        this.#isSet = true;
      },
    });
  }

  /**
   * Prepares the environment of the task that begins now.
   *
   * @param id the task's id; it becomes part of the token that marks the task's processes
   */
  begin(env: Readonly<Record<string, string>>, id: string): void {
    this.#wanted = env;
    this.#id = id;
    this.#isSet = false;
    if (this.#wasTouched) this.#establish();
  }

  /** The value of the token variable for the task that runs now. */
  get token(): string {
    return `${this.#token}/${this.#id}`;
  }

  #establish(): void {
    if (this.#isSet) return;
    this.#isSet = true;
    this.#replace({ ...this.#base, ...this.#wanted, [TOKEN_VARIABLE]: this.token });
  }

  #replace(wanted: Readonly<Record<string, string>>): void {
    const real = this.#real;
    for (const name of Object.keys(real)) if (!Object.hasOwn(wanted, name)) delete real[name];
    for (const name of Object.keys(wanted))
      if (real[name] !== wanted[name]) real[name] = wanted[name];
  }
}

/** Whether the getter that calls this was called by Node's module loader. */
function isAskedByLoader(): boolean {
  const of: { stack?: unknown } = {};
  captureStackTrace(of, isAskedByLoader);
  // A step may have changed how stacks are made. Then they say nothing.
  return typeof of.stack === "string" && LOADER.test(of.stack);
}
