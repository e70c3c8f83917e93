/**
 * Calls back at every SIGTERM and SIGINT of this process.
 *
 * @param callback gets the signal, and whether one came before it: a person insists
 * @returns stops calling back
 */
export function onStopSignals(
  callback: (signal: NodeJS.Signals, insists: boolean) => void,
): () => void {
  let insists = false;
  const listener = (signal: NodeJS.Signals): void => {
    const before = insists;
    insists = true;
    callback(signal, before);
  };
  process.on("SIGTERM", listener);
  process.on("SIGINT", listener);
  return () => {
    process.off("SIGTERM", listener);
    process.off("SIGINT", listener);
  };
}
