/**
 * The release of orchd; a test holds it to package.json. A constant, because reading a file would
 * cost every command its time.
 */
export const VERSION = "0.1.0";
