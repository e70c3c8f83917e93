/** Every page gets what its address names: a run's id, a pipeline's name; "" for none. */
export interface PageProps {
  readonly target: string;
}
