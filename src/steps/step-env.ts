/**
 * `process.env` in a worker thread, afresh for every step.
 *
 * A thread has a `process.env` of its own that the steps it runs share one after another. Comparing
 * and resetting it costs as much as a small step, and most steps never look at it: so it stands
 * behind a getter, and is set up when it is first touched. Once anything has held it (`const { env
 * } = process`), a reference may have been kept, and it is set up before every step from then on.
 */
import { TOKEN_VARIABLE } from "../core/task.ts";

/** The environment of one thread. */
export class StepEnv {
  readonly #real: NodeJS.ProcessEnv;
  readonly #base: Readonly<Record<string, string>>;
  readonly #token: string;
  #wanted: Readonly<Record<string, string>> = {};
  #id = "";
  #isSet = false;
  #wasTouched = false;

  /** @param base what every step's environment begins with */
  constructor(base: Readonly<Record<string, string>>, token: string) {
    this.#real = process.env;
    this.#base = base;
    this.#token = token;
    Object.defineProperty(process, "env", {
      configurable: true,
      enumerable: true,
      get: () => {
        this.#wasTouched = true;
        this.#establish();
        return this.#real;
      },
      // A step that puts another object in its place changes its own copy, and only for itself.
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
   * Prepares the environment of what begins now.
   *
   * @param id becomes part of the token by which the processes it starts are found
   */
  begin(env: Readonly<Record<string, string>>, id: string): void {
    this.#wanted = env;
    this.#id = id;
    this.#isSet = false;
    if (this.#wasTouched) this.#establish();
  }

  /** The value of the token variable for what runs now. */
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
