import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { alias: { orchd: new URL("./src/index.ts", import.meta.url).pathname } },
  test: {
    include: ["test/**/*.test.ts"],
    // It takes minutes to set up; FAULTS=1 has it run, or say why it cannot.
    exclude: [
      "**/node_modules/**",
      ...(process.env["FAULTS"] === "1" ? [] : ["test/faults/real-systemd.test.ts"]),
    ],
    globalSetup: ["test/support/no-leftovers.ts"],
    reporters: ["default", "./test/support/plain-count-reporter.ts"],
    pool: "forks",
    // Two at least: a test that waits for a daemon leaves its core idle.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    coverage: { include: ["src/**/*.ts", "daemon/**/*.ts"] },
  },
});
