/**
 * The places on other machines that orchd.yaml names, as long as it names them.
 *
 * When orchd.yaml is read again, a place whose settings are the same stays as it is. One whose
 * settings changed, or that is not named any more, takes no more steps, and ends with its last
 * task. Only then its successor is made: two of one name could take each other's workers.
 *
 * Each stands in a durable list before it is given a step (opened-places.ts).
 */
import { join } from "node:path";
import type { Timer } from "../clock.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { PlaceReport } from "../core/place-report.ts";
import type { PlaceSettings } from "../core/place-settings.ts";
import type { OrchdSettings } from "../core/settings.ts";
import type { FarPlace, FarPlaceOptions, MakeFarPlace } from "../places/far-place.ts";
import type { FarPlaces } from "../places/place-by-lane.ts";
import { openBrokerPlace } from "../places/broker/open-broker-place.ts";
import { openSshPlace } from "../places/ssh/ssh-place.ts";
import { openedPlace, OpenedPlaces, type OpenedPlace } from "./opened-places.ts";

/** How a place of each engine is made. */
export interface FarPlaceMakers {
  readonly ssh?: MakeFarPlace<Extract<PlaceSettings, { engine: "ssh" }>>;
  readonly nats?: MakeFarPlace<Extract<PlaceSettings, { engine: "nats" | "redis" }>>;
  readonly redis?: MakeFarPlace<Extract<PlaceSettings, { engine: "nats" | "redis" }>>;
}

/** The makers of this release. */
const MAKERS: FarPlaceMakers = {
  ssh: openSshPlace,
  nats: openBrokerPlace,
  redis: openBrokerPlace,
};

/**
 * How long after this daemon's start something that an earlier one started may still run on a
 * machine that does not answer, in milliseconds. All leases together are shorter.
 */
const LEASES_MS = 15_000;

/** What places are made with: what each of them is given, but for what is its own. */
export interface FarPlacesOptions extends Omit<FarPlaceOptions, "name" | "settings" | "since"> {
  /** Where each place has a folder of its own. */
  readonly folder: string;
}

interface Named {
  readonly place: FarPlace;
  readonly opened: OpenedPlace;
  /** Its settings as text. */
  readonly settings: string;
  /** It takes no more steps. */
  leaving: boolean;
  readonly off: readonly (() => void)[];
}

/** The places of one daemon. */
export class NamedFarPlaces implements FarPlaces {
  readonly #options: FarPlacesOptions;
  readonly #makers: FarPlaceMakers;
  readonly #since: number;
  readonly #opened: OpenedPlaces;
  readonly #leases: Timer;
  readonly #named = new Map<string, Named>();
  #settings: OrchdSettings["places"] = {};
  #open: readonly FarPlace[] = [];
  #all: readonly FarPlace[] = [];
  readonly #reportListeners = new Set<() => void>();
  readonly #capacityListeners = new Set<() => void>();
  readonly #closing = new Set<Promise<void>>();
  #closed = false;

  /** @param makers what makes a place of each engine; a test gives its own */
  constructor(options: FarPlacesOptions, makers: FarPlaceMakers = MAKERS) {
    this.#options = options;
    this.#makers = makers;
    this.#since = options.clock.monotonic();
    this.#opened = new OpenedPlaces(options.folder, options.log);
    this.#leases = options.clock.after(LEASES_MS, () => this.#opened.leasesOver());
  }

  get open(): readonly FarPlace[] {
    return this.#open;
  }

  get all(): readonly FarPlace[] {
    return this.#all;
  }

  /** Takes the places of an orchd.yaml that was read, or read again. */
  setSettings(settings: OrchdSettings["places"]): void {
    this.#settings = settings;
    this.#settle();
    this.#tell();
  }

  reports(): readonly PlaceReport[] {
    const reports = this.#all.map((place) => {
      const report = place.report();
      if (!this.#named.get(place.name)!.leaving) return report;
      const because = Object.hasOwn(this.#settings, place.name)
        ? "orchd.yaml has other settings for it, which count once the steps that it has have ended"
        : "orchd.yaml does not name it any more; the steps that it has go on";
      return { ...report, because };
    });
    for (const [name, { engine, labels }] of Object.entries(this.#settings))
      if (!this.#named.has(name)) {
        const because = `this release has no place of the engine ${engine}`;
        reports.push({ place: name, engine, labels: [name, ...labels], hosts: [], because });
      }
    return reports;
  }

  onReport(callback: () => void): () => void {
    this.#reportListeners.add(callback);
    return () => void this.#reportListeners.delete(callback);
  }

  onCapacity(callback: () => void): () => void {
    this.#capacityListeners.add(callback);
    return () => void this.#capacityListeners.delete(callback);
  }

  leasesOver(): Promise<void> {
    const { clock } = this.#options;
    const left = this.#since + LEASES_MS - clock.monotonic();
    if (left <= 0) return Promise.resolve();
    return new Promise((resolve) => void clock.after(left, resolve));
  }

  mayBeElsewhere(place: string | undefined): boolean {
    return this.#opened.mayBeElsewhere(place);
  }

  /** Ends them all. @param force at once */
  async close(force: boolean): Promise<void> {
    this.#closed = true;
    this.#leases.cancel();
    const places = [...this.#named.values()];
    this.#named.clear();
    for (const { off } of places) for (const end of off) end();
    await Promise.all([...places.map(({ place }) => place.close(force)), ...this.#closing]);
  }

  /** Ends places that are not wanted and have no task, and makes those that are wanted. */
  #settle(): void {
    if (this.#closed) return;
    for (const [name, one] of this.#named) {
      one.leaving = one.settings !== textOf(this.#settings, name);
      if (!one.leaving || one.place.tasks > 0) continue;
      this.#named.delete(name);
      for (const end of one.off) end();
      const closing = one.place.close(false).catch((error: unknown) => {
        this.#options.log.warn({ place: name, err: error }, `the place ${name} did not end well`);
      });
      this.#closing.add(closing);
      void closing.then(() => this.#closing.delete(closing));
    }
    const wanted = Object.keys(this.#settings).filter((name) => !this.#named.has(name));
    this.#opened.set([
      ...Array.from(this.#named.values(), ({ opened }) => opened),
      ...wanted.map((name) => openedPlace(name, this.#settings[name]!)),
    ]);
    for (const name of wanted) this.#make(name);
    const named = [...this.#named.values()];
    this.#all = named.map(({ place }) => place);
    this.#open = named.filter(({ leaving }) => !leaving).map(({ place }) => place);
  }

  #make(name: string): void {
    const settings = this.#settings[name]!;
    const make = this.#makers[settings.engine] as MakeFarPlace | undefined;
    if (make === undefined) return;
    const { folder, ...rest } = this.#options;
    const options: FarPlaceOptions = {
      ...rest,
      name,
      settings,
      folder: join(folder, name),
      since: this.#since,
    };
    const place = make(options);
    const off = [
      place.onReport(() => this.#tell()),
      place.onCapacity(() => {
        if (this.#named.get(name)?.leaving === true) this.#settle();
        for (const callback of this.#capacityListeners) callback();
      }),
    ];
    const opened = openedPlace(name, settings);
    const text = textOf(this.#settings, name)!;
    this.#named.set(name, { place, opened, settings: text, leaving: false, off });
  }

  #tell(): void {
    for (const callback of this.#reportListeners) callback();
    for (const callback of this.#capacityListeners) callback();
  }
}

function textOf(settings: OrchdSettings["places"], name: string): string | undefined {
  return Object.hasOwn(settings, name) ? canonicalJson(settings[name]) : undefined;
}
