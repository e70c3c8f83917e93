/**
 * The checks of a pipeline in code that the compiler makes: `inputs` name steps whose results fit,
 * no input that a step needs is missing, `params` fit, `after` names steps, and no key is misspelt.
 *
 * What is wrong gets the type {@link Wrong}, whose argument is the sentence that the compiler
 * shows. A plain `never` would refuse as well, and say nothing.
 */
import type { Loose } from "./context.ts";
import type { Nearest } from "./near-name.ts";
import type { PipelineSettings, StepEntry } from "./step-entry.ts";

declare const WRONG: unique symbol;
/** What no value has. The compiler names it, with its sentence, where a definition is wrong. */
export interface Wrong<Sentence extends string> {
  readonly [WRONG]: Sentence;
}

/** `Name` is none of `Known`, and which one is near. */
type NotOne<Name, Known, What extends string> = Name extends string
  ? [Nearest<Name, Known & string>] extends [never]
    ? Wrong<`${Name} is no ${What}`>
    : Wrong<`${Name} is no ${What}: did you mean ${Nearest<Name, Known & string>}?`>
  : Wrong<`this is no ${What}`>;
/** A key; never for an index signature, which takes any. */
type Named<N> = string extends N ? never : number extends N ? never : N;
/** Each key of `Given` that is none of `Known`. */
type Unknown<Given, Known, What extends string> = {
  readonly [N in keyof Given as Named<N> extends Known ? never : Named<N>]: NotOne<N, Known, What>;
};

/**
 * The type of a value after JSON: a `Date` is a string, and an object with `toJSON` is what that
 * returns.
 */
export type Jsonified<T> = unknown extends T
  ? T
  : T extends { toJSON(): infer J }
    ? J
    : T extends readonly (infer E)[]
      ? Jsonified<E>[]
      : T extends object
        ? { [K in keyof T]: Jsonified<T[K]> }
        : T extends undefined
          ? null
          : T;

/** The keys that a value of this type must have; none if it takes any name. */
export type RequiredKeys<T> = string extends keyof T
  ? never
  : { [K in keyof T]-?: object extends Pick<T, K> ? never : K }[keyof T];
/**
 * What a pipeline may write for a value: the value, a text with `${params.NAME}` or `${run.…}` in
 * it, or a secret's name.
 */
type Written<T> =
  | (T extends readonly (infer E)[]
      ? readonly Written<E>[]
      : T extends object
        ? { readonly [K in keyof T]: Written<T[K]> }
        : T)
  | `${string}\${${string}}${string}`
  | { readonly secret: string };
type ParamsOf<E> = E extends { readonly uses: (context: infer C) => unknown }
  ? C extends { readonly params: infer P }
    ? P
    : Loose
  : Loose;
/**
 * Params may be left out, because `step()` may have given them. A param that the step does not know
 * is refused.
 */
type CheckedParams<E> = string extends keyof ParamsOf<E>
  ? unknown
  : unknown extends ParamsOf<E>
    ? unknown
    : E extends { readonly params: infer G }
      ? {
          readonly params: {
            readonly [N in keyof G]: N extends keyof ParamsOf<E>
              ? Written<ParamsOf<E>[N]>
              : NotOne<N, keyof ParamsOf<E>, "param of the step">;
          };
        }
      : unknown;

type InputsOf<E> = E extends { readonly uses: (context: infer C) => unknown }
  ? C extends { readonly inputs: infer I }
    ? I
    : Loose
  : Loose;
type ResultOf<E> = E extends { readonly uses: (context: never) => infer R }
  ? Jsonified<Awaited<R>>
  : E extends { readonly run: string }
    ? Loose
    : Loose;
/** All names of results whose type fits T: `step`, or `step.output` for a declared output. */
type SourceOf<S, T> = {
  [K in keyof S & string]: S[K] extends { readonly uses: string } | { readonly run: string }
    ? K | `${K}.${string}`
    :
        | (ResultOf<S[K]> extends T ? K : never)
        | {
            [N in keyof ResultOf<S[K]> & string]: ResultOf<S[K]>[N] extends T ? `${K}.${N}` : never;
          }[keyof ResultOf<S[K]> & string];
}[keyof S & string];
/** Why the result that a text names is no fitting input. */
type SourceFault<S, From extends string> = From extends keyof S
  ? Wrong<`the result of ${From} does not fit this input`>
  : From extends `${infer K}.${infer Output}`
    ? K extends keyof S
      ? Output extends keyof ResultOf<S[K]>
        ? Wrong<`the output ${From} does not fit this input`>
        : NotOne<Output, keyof ResultOf<S[K]>, `output of ${K}`>
      : NotOne<K, keyof S, "step of this pipeline">
    : NotOne<From, keyof S, "step of this pipeline">;
/** One source that was written: itself where its result fits. */
type CheckedSource<S, From, T> = From extends string
  ? string extends From
    ? SourceOf<S, T>
    : From extends SourceOf<S, T>
      ? From
      : SourceFault<S, From>
  : SourceOf<S, T>;
/** The inputs that a step needs, and those that were written. */
type CheckedInputs<S, E> = string extends keyof InputsOf<E>
  ? {
      readonly [N in keyof WrittenInputs<E>]: CheckedSource<S, WrittenInputs<E>[N], unknown>;
    }
  : {
      readonly [N in keyof InputsOf<E>]: N extends keyof WrittenInputs<E>
        ? CheckedSource<S, WrittenInputs<E>[N], InputsOf<E>[N]>
        : SourceOf<S, InputsOf<E>[N]>;
    } & Unknown<WrittenInputs<E>, keyof InputsOf<E>, "input of the step">;
type WrittenInputs<E> = E extends { readonly inputs: infer G } ? G : unknown;

type CheckedName<S, Name> = Name extends keyof S
  ? Name
  : NotOne<Name, keyof S, "step of this pipeline">;
type CheckedAfter<S, E> = E extends { readonly after: infer A }
  ? {
      readonly after: A extends readonly unknown[]
        ? { readonly [N in keyof A]: CheckedName<S, A[N]> }
        : CheckedName<S, A>;
    }
  : unknown;

type NestedKey = "retry" | "cache" | "hooks" | "resources";
/** No key of an entry is misspelt, nor one of the blocks in it. */
type CheckedKeys<E> = Unknown<E, keyof StepEntry, "key of a step"> & {
  readonly [N in NestedKey & keyof E as E[N] extends object ? N : never]: Unknown<
    E[N],
    keyof NonNullable<StepEntry[N]>,
    `key of ${N}`
  >;
};
/** An entry has `uses` or `run`. */
type CheckedKind<E> = "uses" extends keyof E
  ? E extends { readonly uses: {}; readonly run: string }
    ? { readonly run: Wrong<"a step has uses or run, and not both"> }
    : unknown
  : "run" extends keyof E
    ? unknown
    : { readonly uses: Wrong<"a step needs uses (a step, or a module) or run (a shell text)"> };

/** The checks of a pipeline's steps. */
export type CheckedSteps<S> = {
  readonly [K in keyof S]: ([RequiredKeys<InputsOf<S[K]>>] extends [never]
    ? { readonly inputs?: CheckedInputs<S, S[K]> | undefined }
    : { readonly inputs: CheckedInputs<S, S[K]> }) &
    CheckedParams<S[K]> &
    CheckedAfter<S, S[K]> &
    CheckedKeys<S[K]> &
    CheckedKind<S[K]>;
};

type Block = "schedule" | "retry" | "hooks" | "retention" | "concurrency" | "orchestrator";
/** The keys of a block, which may be a list of blocks or have a short form as well. */
type BlockKeys<T> = T extends readonly (infer M)[]
  ? BlockKeys<M>
  : T extends object
    ? keyof T
    : never;
type CheckedBlock<G, N extends Block> = G extends readonly unknown[]
  ? { readonly [I in keyof G]: Unknown<G[I], BlockKeys<PipelineSettings[N]>, `key of ${N}`> }
  : Unknown<G, BlockKeys<PipelineSettings[N]>, `key of ${N}`>;
/** No key of a pipeline is misspelt, nor one of the blocks in it. */
export type CheckedSettings<D> = Unknown<
  D,
  keyof PipelineSettings | "steps",
  "key of a pipeline"
> & {
  readonly [N in Block & keyof D as D[N] extends object ? N : never]: CheckedBlock<D[N], N>;
};
