/**
 * Makes the place of a broker that orchd.yaml names. What is wrong with its secrets is a reason why
 * it takes no work, and ends nobody: the daemon goes on with its other places.
 */
import type { Clock } from "../../clock.ts";
import type { BrokerPlaceSettings } from "../../core/place-settings.ts";
import type { SecretSource } from "../../core/secret-source.ts";
import type { FarPlace, FarPlaceOptions } from "../far-place.ts";
import { farBundleFault } from "../pool/far-bundle.ts";
import { BrokerPlace } from "./broker-place.ts";
import { BrokerSilence, type Broker, type BrokerOptions, type BrokerState } from "./broker.ts";
import { NatsBroker } from "./nats-broker.ts";
import { RedisBroker } from "./redis-broker.ts";
import { Seal } from "./seal.ts";
import { namesOn, SealedBroker } from "./sealed-broker.ts";

/** Makes a place whose workers a broker connects with this daemon. */
export function openBrokerPlace(options: FarPlaceOptions<BrokerPlaceSettings>): FarPlace {
  const { name, settings, clock, log, root, bundles, since } = options;
  return new BrokerPlace({
    name,
    labels: settings.labels,
    clock,
    log,
    root,
    bundles,
    since,
    bundleFault: farBundleFault,
    connect: (onFault) => connected(options, onFault),
  });
}

function connected(
  { name, settings, clock, log, secrets }: FarPlaceOptions<BrokerPlaceSettings>,
  onFault: (sentence: string) => void,
): SealedBroker {
  try {
    const seal = sealOf(settings, secrets);
    const { prefix, bucket } = namesOn(seal, name);
    const broker = brokerFor(settings.engine, clock, {
      urls: settings.urls,
      credentials:
        settings.credentials === undefined ? undefined : secrets.get(settings.credentials.secret),
      tls: settings.tls,
      bucket,
      name: `orchd ${name}`,
    });
    return new SealedBroker(broker, seal, prefix, clock, onFault);
  } catch (error) {
    const because = (error as Error).message;
    log.warn({ place: name }, because);
    const none = new NoBroker(settings.engine, because);
    return new SealedBroker(none, new Seal("00".repeat(32)), "none", clock, onFault);
  }
}

function brokerFor(engine: Broker["engine"], clock: Clock, options: BrokerOptions): Broker {
  return engine === "nats" ? new NatsBroker(clock, options) : new RedisBroker(clock, options);
}

/** @throws Error, in a sentence */
function sealOf({ key }: BrokerPlaceSettings, secrets: SecretSource): Seal {
  const secret = secrets.get(key.secret);
  try {
    return new Seal(secret);
  } catch (error) {
    throw new Error(`the secret "${key.secret}" is no key: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** A broker that cannot be reached as orchd.yaml stands. */
class NoBroker implements Broker {
  readonly engine: Broker["engine"];
  readonly messageLimit = 0;
  readonly #because: string;

  constructor(engine: Broker["engine"], because: string) {
    this.engine = engine;
    this.#because = because;
  }

  get state(): BrokerState {
    return { up: false, because: this.#because };
  }

  onState(): () => void {
    return () => undefined;
  }

  send(): void {}

  listen(): () => void {
    return () => undefined;
  }

  ask(): Promise<never> {
    return this.#silence();
  }

  put(): Promise<never> {
    return this.#silence();
  }

  get(): Promise<never> {
    return this.#silence();
  }

  remove(): Promise<never> {
    return this.#silence();
  }

  async close(): Promise<void> {}

  #silence(): Promise<never> {
    return Promise.reject(new BrokerSilence(this.#because));
  }
}
