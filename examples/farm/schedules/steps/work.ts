import { step } from "orchd";

/** Sums some numbers for each core. It knows nothing of where it runs. */
export default step(({ inputs, log }) => {
  const numbers = 1_000 * Number(inputs["cores"]);
  log.info(`summing ${numbers} numbers`);
  return { numbers, sum: (numbers * (numbers + 1)) / 2 };
});
