/**
 * The entry of a worker thread. Every import delays the first step of a new thread, so it imports
 * src/steps/ alone.
 */
import { serveThread } from "../src/steps/thread.ts";

serveThread();
