/**
 * Whether a name in the drop folder is a pipeline file's name: it begins with no dot and no
 * underscore, is no editor's temporary file, and has a known ending.
 */
export function isPipelineFileName(name: string): boolean {
  if (/^[._]/.test(name) || name.endsWith("~") || /^#.*#$/.test(name)) return false;
  if (/\.d\.[cm]?ts$/i.test(name)) return false;
  return /\.(ya?ml|json|m?[jt]s)$/i.test(name);
}

/** The name of a pipeline whose file does not name it: the file's, without its ending. */
export function nameOfFile(name: string): string {
  return name.replace(/\.[a-z]+$/, "");
}
