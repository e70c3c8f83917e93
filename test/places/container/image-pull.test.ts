/** A pull under a played engine: its words, its credentials, its progress and its end. */
import { EventEmitter } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ImageContainer } from "../../../src/core/container.ts";
import { ContainerFiles } from "../../../src/places/container/container-files.ts";
import type { Engine } from "../../../src/places/container/engine.ts";
import { pull, type Pull } from "../../../src/places/container/image-pull.ts";
import { tempRoot } from "../../support/temp-root.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const IMAGE: ImageContainer = {
  image: "hub.lan/tool:1",
  pull: "missing",
  volumes: [],
  keep: "never",
  options: [],
};
const BEGINS = "[orchd: podman pulls the image hub.lan/tool:1]";
const ENDED = "[orchd: the image hub.lan/tool:1 is pulled]";
const SILENT =
  "the image hub.lan/tool:1 cannot be pulled: its registry hub.lan did not answer within 60 s: " +
  "is it up, and is its name right?";

class Client extends EventEmitter {
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly kills: string[] = [];
  kill(signal: string): void {
    this.kills.push(signal);
  }
}

/** The engine's command, and what was told. */
class Played {
  readonly clock = new VirtualClock();
  readonly client = new Client();
  readonly told: string[] = [];
  readonly folder = mkdtempSync(join(tempRoot().root, "f-"));
  words: readonly string[] = [];
  /** The files beside the command while it runs, by name. */
  beside: readonly string[] = [];
  /** Happens as the command is to start. */
  starting: (options: { isWanted(): boolean; waits(because: string): void }) => void = () => {};
  pull!: Pull;
  error: string | undefined;

  begin(name: "podman" | "docker" = "podman", auth?: string, more: Partial<ImageContainer> = {}) {
    const engine = {
      name,
      start: async (words: readonly string[], options: never) => {
        // As an engine's command, it starts in a later turn.
        await Promise.resolve();
        this.words = words;
        this.beside = readdirSync(this.folder);
        this.starting(options);
        return this.client;
      },
    } as unknown as Engine;
    const files = new ContainerFiles(this.folder);
    const tell = (lines: readonly string[]): void => void this.told.push(...lines);
    this.pull = pull(engine, { ...IMAGE, ...more }, { clock: this.clock, files, auth, tell });
    this.pull.done.catch((error: Error) => (this.error = error.message));
    return this.clock.settle();
  }

  async says(text: string, stream: "stdout" | "stderr" = "stderr"): Promise<void> {
    this.client[stream].write(text);
    await this.clock.settle();
  }

  /** The command ends. @returns what went wrong, if anything did */
  async ends(status: number | null): Promise<string | undefined> {
    this.client.emit("close", status);
    await this.pull.done.catch(() => undefined);
    return this.error;
  }
}

let played: Played;
beforeEach(() => {
  played = new Played();
});

describe("a pull", () => {
  it("tells that it begins, each line of its progress, and that the image is there", async () => {
    await played.begin();
    expect(played.words).toEqual(["pull", "hub.lan/tool:1"]);
    await played.says("Trying to pull hub.lan/tool:1...\nGetting im");
    await played.says("age source signatures\r  Copying blob 1\r\n\n");
    // What it ends with is the image's id, and no progress.
    await played.says("0a1b2c3d\nhalf a li", "stdout");
    expect(await played.ends(0)).toBeUndefined();
    expect(played.told).toEqual([
      BEGINS,
      "[podman: Trying to pull hub.lan/tool:1...]",
      "[podman: Getting image source signatures]",
      "[podman: Copying blob 1]",
      ENDED,
    ]);
    expect(played.clock.timers).toBe(0);
  });

  it("tells the first 300 characters of a line", async () => {
    await played.begin();
    await played.says(`Copying ${"x".repeat(400)}\n`);
    expect(played.told[1]).toBe(`[podman: Copying ${"x".repeat(292)}]`);
  });

  it("that fails says the engine's last words, with what a person can do", async () => {
    await played.begin();
    await played.says("Trying to pull it...\nError: reading manifest: manifest unknown\n");
    await played.says("other words\n", "stdout");
    expect(await played.ends(125)).toBe(
      "the image hub.lan/tool:1 cannot be pulled: reading manifest: manifest unknown: " +
        "hub.lan has no such image: check its name and tag",
    );
    expect(played.told).not.toContain(ENDED);
  });

  it("that fails without a hint says the words alone, and without words its status", async () => {
    await played.begin();
    await played.says("Error: the moon is full\n");
    expect(await played.ends(1)).toMatch(/pulled: the moon is full$/);
    played = new Played();
    await played.begin();
    expect(await played.ends(3)).toMatch(/pulled: status 3$/);
  });

  it("whose command cannot be started fails with that", async () => {
    await played.begin();
    played.client.emit("error", new Error("EMFILE"));
    await played.pull.done.catch(() => undefined);
    expect([played.error, played.clock.timers]).toEqual(["EMFILE", 0]);
  });
});

describe("a registry that says nothing", () => {
  it.each([
    ["", ""],
    ["though the engine does", "Trying to pull hub.lan/tool:1...\n"],
  ])("is given up after a minute %s", async (_name, words) => {
    await played.begin();
    await played.says(words);
    await played.clock.advance(59_999);
    expect(played.client.kills).toEqual([]);
    await played.clock.advance(1);
    // A client that hangs hears no other signal.
    expect(played.client.kills).toEqual(["SIGKILL"]);
    expect(await played.ends(null)).toBe(SILENT);
  });

  it.each([
    "Getting image source signatures",
    "Copying blob sha256:0a",
    "1: Pulling from library/tool",
    "Digest: sha256:0a",
    "Status: Image is up to date",
  ])("has begun by: %s", async (line) => {
    await played.begin();
    await played.says(`${line}\n`, "stdout");
    await played.clock.advance(600_000);
    expect(played.client.kills).toEqual([]);
    expect(await played.ends(0)).toBeUndefined();
  });

  it("and ended well as its time was up has given the image", async () => {
    await played.begin();
    await played.clock.advance(60_000);
    expect(await played.ends(0)).toBeUndefined();
    expect(played.told.at(-1)).toBe(ENDED);
  });
});

describe("a pull that nobody wants any more", () => {
  it("is told to end, and before it has started too", async () => {
    await played.begin();
    played.pull.cancel();
    expect(played.client.kills).toEqual(["SIGTERM"]);
    await played.ends(null);
    played = new Played();
    let isWanted: boolean[] = [];
    played.starting = (options) => {
      isWanted = [options.isWanted()];
      played.pull.cancel();
      isWanted.push(options.isWanted());
    };
    await played.begin();
    expect(isWanted).toEqual([true, false]);
    expect(played.client.kills).toContain("SIGTERM");
    await played.ends(null);
  });

  it("or waits for a descriptor says so", async () => {
    played.starting = ({ waits }) => waits("no descriptor is left");
    await played.begin();
    expect(played.told).toEqual([BEGINS, "no descriptor is left: podman waits"]);
    await played.ends(0);
  });
});

describe("the credentials of a pull", () => {
  const own = process.env["DOCKER_CONFIG"];
  afterEach(() => {
    if (own === undefined) delete process.env["DOCKER_CONFIG"];
    else process.env["DOCKER_CONFIG"] = own;
  });
  const TEXT = JSON.stringify({ auths: { "hub.lan": { auth: btoa("me:secret") } } });

  it("are in a file of the user alone, for as long as it goes on: podman", async () => {
    await played.begin("podman", "me:secret", { platform: "linux/arm64" });
    const [command, word, ...rest] = played.words;
    expect([command, ...rest]).toEqual(["pull", "--platform=linux/arm64", "hub.lan/tool:1"]);
    const path = word!.replace("--authfile=", "");
    expect(readFileSync(path, "utf8")).toBe(TEXT);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await played.ends(0);
    expect(readdirSync(played.folder)).toEqual([]);
  });

  it("are beside what says where dockerd is, and that alone: docker", async () => {
    const home = mkdtempSync(join(tempRoot().root, "docker-"));
    process.env["DOCKER_CONFIG"] = home;
    mkdirSync(join(home, "contexts"));
    writeFileSync(join(home, "contexts", "meta"), "there");
    const config = { currentContext: "far", auths: { other: {} }, credsStore: "none" };
    writeFileSync(join(home, "config.json"), JSON.stringify(config));
    await played.begin("docker", "me:secret");
    const [word, ...rest] = played.words;
    expect(rest).toEqual(["pull", "hub.lan/tool:1"]);
    const folder = word!.replace("--config=", "");
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const text = readFileSync(join(folder, "config.json"), "utf8");
    expect(JSON.parse(text)).toEqual({ currentContext: "far", ...(JSON.parse(TEXT) as object) });
    expect(readFileSync(join(folder, "contexts", "meta"), "utf8")).toBe("there");
    await played.ends(1);
    expect(readdirSync(played.folder)).toEqual([]);
  });

  it("may be an auth file's text, and name the secret where they are refused", async () => {
    const auth = { secret: "registry" } as unknown as NonNullable<ImageContainer["auth"]>;
    await played.begin("podman", `  ${TEXT}`, { auth });
    const path = played.words[1]!.replace("--authfile=", "");
    expect(readFileSync(path, "utf8").trim()).toBe(TEXT);
    await played.says("Error: unauthorized\n");
    expect(await played.ends(125)).toMatch(
      /hub\.lan refuses the credentials of the secret "registry" \(container\.auth\)$/,
    );
    expect(readdirSync(played.folder)).toEqual([]);
  });

  it("go where the command never started", async () => {
    played.starting = () => {
      throw new Error("no podman");
    };
    await played.begin("podman", "me:secret");
    expect(played.beside).toHaveLength(1);
    expect([played.error, readdirSync(played.folder)]).toEqual(["no podman", []]);
  });
});
