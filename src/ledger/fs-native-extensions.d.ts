/** The part of fs-native-extensions that orchd uses; the package has no types of its own. */
declare module "fs-native-extensions" {
  /**
   * Takes an exclusive lock on the whole file. Returns false if another open file description has
   * it.
   */
  export function tryLock(fd: number): boolean;
  export function unlock(fd: number): void;
}
