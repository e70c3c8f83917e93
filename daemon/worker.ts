/**
 * A worker thread's entry. Everything it imports delays the first step of a new thread, so it is
 * src/steps/ alone.
 */
import { serveThread } from "../src/steps/thread.ts";

serveThread();
