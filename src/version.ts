/**
 * The release of orchd. A test compares it with package.json. It is a constant, because reading a
 * file would cost every command time.
 */
export const VERSION = "0.1.0";
