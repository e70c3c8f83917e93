/**
 * Whether a name in the drop folder is a pipeline file's: no dot or underscore in front, no
 * editor's temporary file, an ending that is read.
 */
export function isPipelineFileName(name: string): boolean {
  if (/^[._]/.test(name) || name.endsWith("~") || /^#.*#$/.test(name)) return false;
  if (/\.d\.[cm]?ts$/i.test(name)) return false;
  return /\.(ya?ml|json|m?[jt]s)$/i.test(name);
}
