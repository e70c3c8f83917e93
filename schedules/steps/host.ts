/** The steps of host-report.yaml: take one sample of the host, append it to the series, warn. */
import { appendFile, mkdir, readFile, statfs } from "node:fs/promises";
import { availableParallelism, freemem, loadavg, totalmem } from "node:os";
import type { Loose, StepContext } from "orchd";

/** One sample of the host. */
export interface Sample {
  readonly at: string;
  readonly path: string;
  readonly diskBytes: number;
  /** A share, 0 to 1. */
  readonly diskUsed: number;
  readonly memoryBytes: number;
  /** A share, 0 to 1. */
  readonly memoryUsed: number;
  /** The load of the last minute, divided by the number of processors. */
  readonly load: number;
}

const share = (part: number, whole: number): number =>
  whole > 0 ? Math.round((part / whole) * 10_000) / 10_000 : 0;

const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;

const fullness = ({ path, diskUsed, memoryUsed }: Sample): string =>
  `${path} is ${percent(diskUsed)} full, memory ${percent(memoryUsed)}`;

/** Free memory in bytes, as the kernel estimates it: caches that it can give back are free. */
async function availableMemory(): Promise<number> {
  const text = await readFile("/proc/meminfo", "utf8").catch(() => "");
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1];
  return kilobytes === undefined ? freemem() : Number(kilobytes) * 1024;
}

/** Measures the file system at `params.path`, the memory and the load. */
export async function measure({ params, log }: StepContext<{ path: string }>): Promise<Sample> {
  const disk = await statfs(params.path);
  const memory = totalmem();
  const sample: Sample = {
    at: new Date().toISOString(),
    path: params.path,
    diskBytes: disk.blocks * disk.bsize,
    // The same as Use% of df: the share of what users may have, without root's reserve.
    diskUsed: share(disk.blocks - disk.bfree, disk.blocks - disk.bfree + disk.bavail),
    memoryBytes: memory,
    memoryUsed: share(memory - (await availableMemory()), memory),
    load: Math.round((loadavg()[0]! / availableParallelism()) * 100) / 100,
  };
  log.info(`${fullness(sample)}, load ${sample.load} a processor`);
  return sample;
}

/** Adds the sample to the series of its day. */
export async function append({
  inputs,
}: StepContext<Loose, { sample: Sample }>): Promise<{ file: string }> {
  const name = `host-${inputs.sample.at.slice(0, 10)}.jsonl`;
  const folder = new URL("../data/", import.meta.url);
  await mkdir(folder, { recursive: true });
  await appendFile(new URL(name, folder), `${JSON.stringify(inputs.sample)}\n`);
  return { file: `schedules/data/${name}` };
}

/** Warns that disk or memory is nearly full. The pipeline's `when` decides whether that is so. */
export async function warn({
  inputs,
  params,
  log,
}: StepContext<{ warnAbove: number }, { sample: Sample }>): Promise<string> {
  const text = `${fullness(inputs.sample)}; the limit is ${percent(params.warnAbove)}`;
  log.warn(text);
  return text;
}
