/**
 * Promise 48: the secrets of steps that run in containers, on another machine and at workers are
 * nowhere at rest: in no command line, no container's own settings but its environment, no file of
 * the other machine, of the brokers, of the workers or of the root, and in nothing that the page,
 * the API and the command line show.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import {
  containersOf,
  podman,
  readyContainers,
  readyNodeImage,
  SKIP_CONTAINERS,
} from "../support/containers.ts";
import { orchd, startDaemon } from "../support/daemon.ts";
import { reached } from "../support/figures.ts";
import { NatsServer, SKIP_NATS } from "../support/nats-server.ts";
import { RedisServer, SKIP_REDIS } from "../support/redis-server.ts";
import { FarHost, readyNamespaces, SKIP_NAMESPACES } from "../support/sshd.ts";
import { tempRoot } from "../support/temp-root.ts";
import { NODE_IMAGE, TEST_IMAGE } from "../support/test-engine.ts";
import { natsPlace, secretsFolder, WorkerProcess } from "../support/worker.ts";
import { pageRig } from "../page/page-rig.ts";

/** Of this test alone: other tests on this machine have canaries too. */
const OWN = randomBytes(4).toString("hex");
const TOKEN = `c4n4ry-${OWN}/"quoted"+\\tail?&=%`;
const PIN = String(8_412_090_000_000 + Number.parseInt(OWN.slice(0, 4), 16));
const LONG = `QX${OWN}WVJHPLMNTR-abcdefghijklmnopqrstuvwxyz-0123456789`;
const KEY = `-----BEGIN KEY-----\nMII${OWN}FirstLine\nMII${OWN}SecondLine\n-----END KEY-----`;
/** Any of these is a leak. */
const TRACES = [
  `c4n4ry-${OWN}`,
  encodeURIComponent(TOKEN),
  Buffer.from(TOKEN).toString("hex"),
  ...["", "user:"].map((before) =>
    Buffer.from(before + TOKEN)
      .toString("base64")
      .replaceAll("=", "")
      .slice(before.length * 2, -4),
  ),
  PIN,
  LONG.slice(0, 8),
  LONG.slice(2, 10),
  `MII${OWN}FirstLine`,
  `MII${OWN}SecondLine`,
];

const SHELL = `
printf 'it is %s\\n' "$TOKEN"
printf '%s' "$TOKEN" | base64
printf '%s %s\\n' "$PIN" "$KEY" >&2
printf '%.6s' "$LONG"; sleep 0.2; printf '%s\\n' "$LONG" | cut -c7-
cat "$ORCHD_PARAMS"
sleep 0.5
printf '{"pin": [%s, "%s"], "token": "%s"}' "$PIN" "$PIN" "$LONG" > "$ORCHD_OUTPUT"
`;
const MODULE = `
import { setTimeout as sleep } from "node:timers/promises";
export default async ({ params, env, log }) => {
  const { TOKEN, PIN, LONG, KEY } = env;
  if (params.token !== TOKEN) throw new Error("not given");
  log.info(TOKEN, { [TOKEN]: KEY, pin: Number(PIN) });
  process.stdout.write(LONG.slice(0, 6));
  await sleep(200);
  process.stdout.write(LONG.slice(6) + "\\n");
  const forms = [
    Buffer.from(TOKEN).toString("base64"),
    Buffer.from("user:" + TOKEN).toString("base64"),
    Buffer.from(TOKEN).toString("hex"),
    encodeURIComponent(TOKEN),
  ];
  console.log(forms.join(" "));
  return { forms, pin: Number(PIN), long: LONG.repeat(3_000), key: [KEY] };
};
export const fails = async ({ env }) => {
  throw Object.assign(new Error("no such token: " + env.TOKEN), { code: Number(env.PIN) });
};
`;

/** Where steps run, and what a step says to run there. */
const PLACES: Readonly<Record<string, { readonly shell: string; readonly module: string }>> = {
  pod: {
    shell: `container: { image: "${TEST_IMAGE}", network: none, keep: never }`,
    module: `container: { image: "${NODE_IMAGE}", network: none }`,
  },
  box: { shell: "on: box", module: "on: box" },
  farm: { shell: "on: farm", module: "on: farm" },
  reds: { shell: "on: reds", module: "on: reds" },
};

function steps(): string {
  const params = "params: { token: { secret: token }, deep: [{ key: { secret: key } }] }";
  return Object.entries(PLACES)
    .flatMap(([place, { shell, module }]) => [
      `  ${place}_shell: { run: ${JSON.stringify(SHELL)}, ${params}, ${shell} }`,
      `  ${place}_module: { uses: ./steps/tell.mjs, ${params}, ${module} }`,
      `  ${place}_fails: { run: 'printf "no such token: %s\\n" "$TOKEN" >&2; exit 3', ${shell} }`,
      `  ${place}_throws: { uses: "./steps/tell.mjs#fails", ${module} }`,
    ])
    .join("\n");
}

const SKIP = SKIP_CONTAINERS || SKIP_NAMESPACES || SKIP_NATS || SKIP_REDIS;

describe.skipIf(SKIP)("the secrets of steps elsewhere", () => {
  beforeAll(() => {
    readyContainers();
    readyNodeImage();
    readyNamespaces();
  }, 120_000);

  it("are at rest nowhere", { timeout: 180_000 }, async () => {
    const nats = await NatsServer.start();
    onTestFinished(() => nats.remove());
    const redis = await RedisServer.start();
    onTestFinished(() => redis.remove());
    const far = await FarHost.start();
    const redisPlace = natsPlace(redis.url).replace("engine: nats", "engine: redis");
    const box =
      `{ engine: ssh, host: ${far.host}, user: ${userInfo().username}, folder: ${far.folder}, ` +
      `identity: ${join(far.keys, "user")}, knownHosts: ${join(far.keys, "known_hosts")}, ` +
      `node: ${process.execPath} }`;
    const root = tempRoot({
      "orchd.yaml":
        "containers: { engine: podman }\nplaces:\n" +
        `  farm: ${natsPlace(nats.url)}\n  reds: ${redisPlace}\n  box: ${box}\n`,
      "schedules/tell.yaml":
        "enableCache: false\nenv: { TOKEN: { secret: token }, PIN: { secret: pin }, " +
        `LONG: { secret: long }, KEY: { secret: key } }\nsteps:\n${steps()}\n`,
      "schedules/steps/tell.mjs": MODULE,
    });
    expect((await orchd(root.root, "place", "prepare", "box")).stderr).toBe("");
    const secrets = secretsFolder({ token: `${TOKEN}\n`, pin: PIN, long: LONG, key: `${KEY}\n` });
    const daemon = await startDaemon({
      root: root.root,
      env: { CREDENTIALS_DIRECTORY: secrets },
    });
    const workers = [
      new WorkerProcess({ place: natsPlace(nats.url), name: "w1" }),
      new WorkerProcess({ place: redisPlace, placeName: "reds", name: "w2" }),
    ];
    for (const worker of workers) await worker.serves();
    const seen: Record<string, string> = {};
    const watch = watchOutside(root.runs, seen);
    const { stdout } = await orchd(root.root, "run", "tell", "--wait", { deadlineMs: 120_000 });
    watch.end();
    // What is looked at is what has them: the look is not blind.
    expect(watch.environments).toContain(`TOKEN=${TOKEN}`);
    const run = /tell@\S+-m/.exec(stdout)![0];
    const view = await orchd(root.root, "status", run, "--json");
    const ended = view.json<{ steps: { step: string; status: string; placed?: unknown }[] }>();
    expect(
      ended.steps.map(({ step, status, placed }) => [step, status, placed !== undefined]),
    ).toEqual(
      Object.keys(PLACES).flatMap((place) => [
        [`${place}_shell`, "completed", true],
        [`${place}_module`, "completed", true],
        [`${place}_fails`, "failed", true],
        [`${place}_throws`, "failed", true],
      ]),
    );
    seen["orchd run --wait"] = stdout;
    seen["orchd status --json"] = view.stdout;
    for (const words of [["logs", run], ["status", run], ["tail", "-n", "500"], ["places"]])
      seen[`orchd ${words[0]}`] = (await orchd(root.root, ...words)).stdout;
    expect(seen["orchd logs"]).toContain("***");
    const { ask } = await pageRig({ now: () => Date.now() }, root);
    for (const path of ["", "/log?limit=500", "/ledger?limit=500", "/graph"])
      seen[`the API: ${path}`] = (await ask(`/api/v1/runs/${run}${path}`)).text;
    for (const path of ["overview", "places", "search?q=token"])
      seen[`the API: ${path}`] = (await ask(`/api/v1/${path}`)).text;
    seen["the far machine's memory"] = far.run(
      "find /dev/shm /run -type f -exec cat {} + 2>/dev/null || true",
    );
    await daemon.end();
    for (const worker of workers) {
      worker.signal("SIGTERM");
      await worker.ended;
      seen[`worker ${worker.pid}`] = worker.stdout + worker.stderr;
    }
    seen["the daemon's log"] = daemon.stderr();
    for (const folder of [
      root.root,
      far.keys,
      nats.folder,
      redis.folder,
      ...workers.map((worker) => worker.root),
    ])
      for (const [path, text] of filesBelow(folder)) seen[path] = text;
    expect(readdirSync(redis.folder, { recursive: true }).join(" ")).toContain("aof");
    expect(containersOf(root.runs)).toEqual([]);
    const leaks = Object.entries(seen).flatMap(([place, text]) =>
      TRACES.filter((trace) => text.includes(trace)).map((trace) => {
        const at = text.indexOf(trace);
        return `${trace} in ${place}: ${text.slice(Math.max(0, at - 200), at + 80)}`;
      }),
    );
    reached(
      48,
      "places beyond the daemon's machine without a trace of the secrets",
      Object.keys(seen).length - new Set(leaks.map((leak) => leak.split(": ")[0])).size,
      Object.keys(seen).length,
    );
    expect(leaks).toEqual([]);
  });
});

interface Inspected {
  readonly Config: { Env?: string[] };
}

/** Looks at all command lines, and at what the engine tells of the root's containers. */
function watchOutside(
  runs: string,
  seen: Record<string, string>,
): { readonly environments: readonly string[]; end(): void } {
  const commands = new Set<string>();
  const environments: string[] = [];
  const look = (): void => {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
      try {
        commands.add(readFileSync(`/proc/${pid}/cmdline`, "latin1"));
      } catch {
        // It has ended.
      }
    seen["command lines"] = [...commands].join("\n");
  };
  const inspect = (): void => {
    for (const name of containersOf(runs)) {
      // It may be gone meanwhile: then there is none.
      const [one] = JSON.parse(podman("inspect", name).stdout || "[]") as Inspected[];
      if (one === undefined) continue;
      // A container's environment is there for whoever may ask the engine: docs/places.md says so.
      environments.push(...(one.Config.Env ?? []));
      delete one.Config.Env;
      seen[`podman inspect ${name}`] = JSON.stringify(one);
    }
  };
  const timers = [setInterval(look, 100), setInterval(inspect, 700)];
  look();
  return { environments, end: () => timers.forEach((timer) => clearInterval(timer)) };
}

/** The files below a folder, but those of secrets. */
function* filesBelow(folder: string): Generator<[string, string]> {
  const real = realpathSync(folder);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || entry.parentPath.endsWith("/secrets")) continue;
    if (!realpathSync(entry.parentPath).startsWith(real)) continue;
    const path = join(entry.parentPath, entry.name);
    yield [path, readFileSync(path, "latin1")];
  }
}
