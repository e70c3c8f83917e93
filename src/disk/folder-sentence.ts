/**
 * Why a folder could not be made, in a sentence: where a file system has no room for it, Node says
 * that it is missing.
 */
export function folderSentence(path: string, code: string): string {
  const why = {
    ENOENT: "its file system makes no folders there",
    ENOTDIR: "what it would lie in is no folder",
    EEXIST: "a file of that name is there",
    EROFS: "its file system is read-only",
    EACCES: "this user has no right to",
    EPERM: "this user has no right to",
    ENOSPC: "the disk is full",
    EDQUOT: "the quota is used up",
  }[code];
  return `the folder ${path} cannot be made: ${why === undefined ? code : `${why} (${code})`}; name a folder that can be written with --runs or --root.`;
}
