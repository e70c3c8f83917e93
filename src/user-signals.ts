/**
 * SIGUSR1 and SIGUSR2 mean nothing to orchd. Programs that rotate logs send them, and without a
 * listener both do harm: at the first one Node lets every user of the machine debug this process,
 * which is to run code in it, and the second one ends it without a word.
 *
 * @param told hears of each
 */
export function ignoreUserSignals(told: (signal: NodeJS.Signals) => void = () => {}): void {
  for (const signal of ["SIGUSR1", "SIGUSR2"] as const) process.on(signal, told);
}
