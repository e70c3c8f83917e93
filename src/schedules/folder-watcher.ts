/**
 * Watches one folder, and says which names in it something happened to. It does not say what: that
 * is for who listens to find out.
 */
import { FSWatcher } from "chokidar";

/**
 * chokidar's watcher, but for its listing. With each event it would list the folder and stat all
 * that is in it, to report what came and went: a step that writes a log line by line beside 1,000
 * pipeline files had the daemon use both processors.
 */
class EventWatcher extends FSWatcher {
  override _readdirp(): undefined {
    return undefined;
  }
}

/**
 * Watches a folder. Its `raw` events come with the name in it; `ready` says that it watches, and
 * `error` that it does not. It keeps one inotify watch, and no process alive.
 */
export function watchFolder(folder: string): FSWatcher {
  const watcher = new EventWatcher({
    persistent: false,
    depth: 0,
    ignoreInitial: true,
    ignored: (path) => path !== folder,
  });
  watcher.add(folder);
  return watcher;
}

/**
 * Closes a watcher. chokidar removes its listeners at once, but may still be looking at the folder.
 * An error of that look (a folder that has become a link to itself) would then have no listener,
 * and an error without a listener ends the process. So it gets a listener that does nothing.
 */
export function closeWatcher(watcher: FSWatcher): Promise<void> {
  const closed = watcher.close();
  watcher.on("error", () => undefined);
  return closed;
}
