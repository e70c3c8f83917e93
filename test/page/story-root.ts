/**
 * The root of the page's story: ten pipelines as a small server has them, with a failing step and
 * its retries, a cached one, a blackout, an invalid file, a paused pipeline, and catch-up.
 */

/** `seconds`: fast enough for a test. `minutes`: as on a server, for the project's pictures. */
export type StoryPace = "seconds" | "minutes";

/** While this file is in the root, the shop in Lisbon answers with an error. */
export const LISBON_DOWN = "lisbon-down";

/** While this one is, it does so at the first attempt. */
export const LISBON_FLAKY = "lisbon-flaky";

/** While this one is, a thumbnail takes ten times as long. */
export const BIG_UPLOAD = "big-upload";

/** The root's files, by their path. */
export function storyFiles(pace: StoryPace): Record<string, string> {
  const slow = pace === "minutes";
  /** Each N minutes, or each N seconds. */
  const each = (count: number): string =>
    `"${count === 1 ? "*" : `*/${count}`} * * * *${slow ? "" : " *"}"`;
  const seconds = (count: number): string => (slow ? String(count) : String(count / 20));
  const files = {
    "cert-check": `
description: Fails when a certificate is about to expire
tags: [ops]
schedule:
  cron: ${each(4)}
  catchUp: none
  blackout: { cron: ${each(12)}, duration: ${slow ? "1m" : "1s"} }
steps:
  fetch: { run: "sleep ${seconds(3)}; echo mail.example" }
  verify:
    run: 'echo "certificate of mail.example expires in 6 days, fewer than 14" >&2; exit 1'
    after: fetch
`,
    // Seven steps each second would keep a processor busy.
    "orders-etl": ordersEtl(each(slow ? 1 : 2), seconds),
    "mail-queue": `
description: Flushes the outgoing mail queue
tags: [mail]
schedule: { cron: ${slow ? '"15,45 * * * * *"' : '"* * * * * *"'}, catchUp: none }
steps: { flush: { run: "echo the queue is empty" } }
`,
    "host-report": `
description: Measures disk, memory and load, and adds a line to today's series
tags: [host]
schedule: { cron: ${slow ? '"*/30 * * * * *"' : '"*/2 * * * * *"'}, catchUp: none }
steps: { measure: { run: "df -P . | tail -n 1" } }
`,
    "run-report": `
description: A table of how the last day's runs ended
tags: [ops]
schedule: { cron: ${each(1)}, catchUp: none }
steps: { table: { run: "sleep ${seconds(0.4)}; echo written" } }
`,
    thumbnailer: `
description: Renders thumbnails of what was uploaded
tags: [media]
schedule: { cron: ${slow ? '"*/30 * * * * *"' : '"*/2 * * * * *"'}, catchUp: latest }
steps:
  render:
    run: "if [ -e ../${BIG_UPLOAD} ]; then sleep ${seconds(52)}; else sleep ${seconds(5.2)}; fi"
`,
    "package-digest": `
description: Counts what the package manager did, and keeps a report of the newest day
tags: [host]
schedule: { cron: ${each(3)}, catchUp: latest }
steps:
  read: { run: "sleep ${seconds(0.5)}; echo read" }
  digest: { run: "echo counted", after: read }
`,
    "pg-backup": `
description: Dumps the database, checks the dump, and keeps seven of them
tags: [backup]
schedule: { cron: ${each(2)}, timezone: Europe/Berlin, catchUp: latest }
steps:
  dump: { run: "sleep ${seconds(9)}; echo dumped 41 tables" }
  check: { run: "sleep ${seconds(3)}; echo the dump can be restored", after: dump }
  keep: { run: "echo 7 dumps are kept", after: check }
`,
    retention: `
description: Removes old runs, old series and old reports
tags: [ops]
schedule: { cron: "17 3 * * *", catchUp: latest }
steps: { prune: { run: "echo nothing is old" } }
`,
    "invoice-run": `descripton: Sends the month's invoices
schedule: { cron: "0 6 1 * *" }
steps: { send: { run: "true" } }
`,
  };
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [`schedules/${name}.yaml`, text.trimStart()]),
  );
}

function ordersEtl(cron: string, seconds: (count: number) => string): string {
  const error = String.raw`printf '\033[31merror\033[0m 503 Service Unavailable\n' >&2; exit 69`;
  const get = (shop: string): string =>
    String.raw`printf '\033[34mGET\033[0m https://shop.example/${shop}/orders?limit=5000\n'`;
  return `
description: Pulls orders from two shops, joins them, prices them, publishes and audits them
tags: [etl]
params: { day: today, limit: 5000 }
schedule: { cron: ${cron}, timezone: Europe/Berlin, catchUp: all }
retry: { maxRetries: 2, delay: ${seconds(4)}s, backoff: 2 }
steps:
  fetch-berlin:
    run: |
      ${get("berlin")}
      sleep ${seconds(2)}
      echo 4812 orders
      echo 4812 > "$ORCHD_OUTPUT"
  fetch-lisbon:
    run: |
      ${get("lisbon")}
      sleep ${seconds(1.4)}
      if [ -e ../${LISBON_DOWN} ]; then ${error}; fi
      if [ -e ../${LISBON_FLAKY} ] && [ "$ORCHD_ATTEMPT" = 1 ]; then ${error}; fi
      echo 2204 orders
      echo 2204 > "$ORCHD_OUTPUT"
  rates:
    run: |
      sleep ${seconds(1)}
      echo '{"EUR":1,"USD":1.08}' > "$ORCHD_OUTPUT"
    enableCache: true
    cache: { acrossSlots: true }
  join:
    run: |
      sleep ${seconds(2)}
      echo $(($ORCHD_INPUT_berlin + $ORCHD_INPUT_lisbon)) > "$ORCHD_OUTPUT"
    inputs: { berlin: fetch-berlin, lisbon: fetch-lisbon }
  price:
    run: |
      sleep ${seconds(2)}
      echo '{"total":918244.1}' > "$ORCHD_OUTPUT"
    inputs: { orders: join, rates: rates }
  publish: { run: "echo published", inputs: { priced: price } }
  audit: { run: "sleep ${seconds(1)}; echo nothing is odd", inputs: { priced: price } }
`;
}
