/** A part of a URL without its `%` escapes; as it is where it is no such text. */
export function decodedPart(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
