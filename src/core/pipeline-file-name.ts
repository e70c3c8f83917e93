/**
 * Whether a name in the drop folder is a pipeline file's name: it begins with no dot and no
 * underscore, is no editor's temporary file, and has a known ending.
 */
export function isPipelineFileName(name: string): boolean {
  // The ending first: most names of a large folder have another one.
  if (!/\.(ya?ml|json|m?[jt]s)$/i.test(name)) return false;
  return !/^[._]/.test(name) && !/\.d\.[cm]?ts$/i.test(name);
}

/**
 * Whether an entry of the drop folder is a pipeline file. A folder is the user's own, whatever its
 * name.
 */
export function isPipelineFile(entry: { readonly name: string; isDirectory(): boolean }): boolean {
  return isPipelineFileName(entry.name) && !entry.isDirectory();
}

/** The name of a pipeline whose file does not name it: the file's, without its ending. */
export function nameOfFile(name: string): string {
  return name.replace(/\.[a-z]+$/, "");
}
