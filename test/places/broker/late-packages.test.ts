/** The packages of engines are loaded late, and Node remembers a load that failed. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { projectRoot } from "../../support/temp-root.ts";

const built = (path: string): string => JSON.stringify(join(projectRoot, "dist/src", path));

/** Connects to where nothing listens, at first without a descriptor. */
const sourceOf = (name: string, file: string, url: string): string => `
  import { closeSync, openSync } from "node:fs";
  import { systemClock } from ${built("clock.js")};
  import { ${name} } from ${built(`places/broker/${file}`)};
  const told = (broker, pattern) => new Promise((resolve) => {
    const look = () => pattern.test(broker.state.because) && resolve(broker.state.because);
    broker.onState(look);
    look();
  });
  const open = [];
  try {
    for (;;) open.push(openSync("/dev/null", "r"));
  } catch {}
  const broker = new ${name}(systemClock, { urls: ["${url}"], bucket: "b", name: "n" });
  console.log(await told(broker, /EMFILE/));
  for (const descriptor of open) closeSync(descriptor);
  console.log(await told(broker, /ECONNREFUSED/));
  process.exit();
`;

it.each([
  ["NatsBroker", "nats-broker.js", "nats://127.0.0.1:1"],
  ["RedisBroker", "redis-broker.js", "redis://127.0.0.1:1"],
])("a %s that had no descriptor at first connects once there is one", (name, file, url) => {
  const words = ["--input-type=module", "-e", sourceOf(name, file, url)];
  const { stdout, stderr } = spawnSync(
    "bash",
    ["-c", 'ulimit -n 512; exec "$@"', "bash", process.execPath, ...words],
    { encoding: "utf8", timeout: 30_000 },
  );
  const [first, second] = stdout.split("\n");
  expect([first, second, stderr]).toEqual([
    expect.stringMatching(/^the broker at .* does not answer: .*EMFILE/),
    expect.stringMatching(/^the broker at .* does not answer: nothing listens there/),
    "",
  ]);
});
