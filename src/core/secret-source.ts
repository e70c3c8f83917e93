/** Finds the values of secrets by name: `{secret: NAME}`. */
export interface SecretSource {
  /** @throws Error, a sentence, if there is none */
  get(name: string): string;
}
