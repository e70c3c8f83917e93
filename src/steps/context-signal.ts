/**
 * The `signal` of a context. Most steps never look at it, so it is made when somebody does, by a
 * getter.
 *
 * All contexts share one getter. An object with a getter of its own gets a shape of its own from
 * V8, which costs six times as much as the rest of the context. So the getter has to find out whose
 * context it is asked on: each is stamped with a private member, which no code of a step can see.
 */

/** Who makes the signal of one task. */
interface SignalMaker {
  signal(): AbortSignal;
}

/** A private member is put on whatever object the class before it returns. */
const Returned = function (object: object): object {
  return object;
} as unknown as new (object: object) => object;

class Stamp extends Returned {
  readonly #maker: SignalMaker;

  constructor(context: object, maker: SignalMaker) {
    super(context);
    this.#maker = maker;
  }

  static makerOf(object: object): SignalMaker | undefined {
    return #maker in object ? object.#maker : undefined;
  }
}

// A step may change what it is.
const { getPrototypeOf } = Object;

/** Of the context that was made last. A thread runs one task at a time. */
let latest: SignalMaker;

/** Whose signal is asked for on an object. */
function makerFor(asked: object): SignalMaker {
  // It may inherit from a context.
  for (let at: object | null = asked; at !== null; at = getPrototypeOf(at) as object | null) {
    const maker = Stamp.makerOf(at);
    if (maker !== undefined) return maker;
  }
  // A Proxy of a context has no stamp.
  return latest;
}

const SIGNAL = {
  enumerable: true,
  configurable: true,
  get(this: object): AbortSignal {
    return makerFor(this).signal();
  },
};
// Steps of several pipelines can reach it.
Object.freeze(SIGNAL.get);

/** Adds `signal` to a context. */
export function withSignal(context: object, maker: SignalMaker): object {
  latest = maker;
  void new Stamp(context, maker);
  return Object.defineProperty(context, "signal", SIGNAL);
}
