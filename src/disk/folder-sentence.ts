/**
 * Says in a sentence why a folder could not be made. Where a file system makes no folders, as in
 * `/proc`, Node's own message says that the folder is missing.
 *
 * @param code of the Node error
 */
export function folderSentence(path: string, code: string): string {
  const why = {
    ENOENT: "its file system makes no folders there",
    ENOTDIR: "a part of its path is a file",
    EEXIST: "a file has that name",
    EROFS: "its file system is read-only",
    EACCES: "this user may not write there",
    EPERM: "this user may not write there",
    ENOSPC: "the disk is full",
    EDQUOT: "the quota is used up",
  }[code];
  const reason = why === undefined ? code : `${why} (${code})`;
  return (
    `the folder ${path} cannot be made: ${reason}; ` +
    "name a folder that can be written with --runs or --root."
  );
}
