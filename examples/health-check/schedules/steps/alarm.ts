/**
 * The alarm: one message when the checks begin to fail, one when they are well again.
 *
 * A file remembers that the alarm was raised. It changes only after the message has arrived, so a
 * message that is lost is sent again by the next run.
 */
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { step, type HookContext, type StepContext } from "orchd";

const raised = new URL("../../alarm-raised", import.meta.url);

/** The hook of a run that failed: raises the alarm, unless it is raised already. */
export async function raiseAlarm({ run, because, env, signal }: HookContext): Promise<void> {
  if (existsSync(raised)) return;
  await send(`${run.pipeline} fails: ${because}`, env, signal);
  await writeFile(raised, `${run.id}\n`);
}

/** The last step, which runs only when every check is well: ends the alarm, if it is raised. */
export const allClear = step(async ({ run, env, signal }: StepContext) => {
  if (!existsSync(raised)) return "no alarm";
  await send(`${run.pipeline} is well again`, env, signal);
  await rm(raised);
  return "alarm ended";
});

async function send(text: string, env: HookContext["env"], signal: AbortSignal): Promise<void> {
  const response = await fetch(env["ALARM_WEBHOOK"]!, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text }),
    signal,
  });
  if (!response.ok) throw new Error(`the webhook answers ${response.status}`);
}
