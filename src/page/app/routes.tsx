/** Which page an address shows. Pages but Overview are loaded when they are first opened. */
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { loadLate } from "./late-code.ts";
import { address } from "./location.ts";
import type { PageProps } from "./page-props.ts";
import { Overview } from "./pages/overview.tsx";
import { PageGuard } from "./page-guard.tsx";
import { ProblemBox, Waiting } from "./problem-box.tsx";

/** A page, and the entry of the navigation that it belongs to. */
interface Route {
  readonly section: Section;
  readonly name: string;
  readonly load: () => Promise<ComponentType<PageProps>>;
  /** What the address names: a run's id, a pipeline's name. */
  readonly target: string;
}

export const SECTIONS = [
  "Overview",
  "Slots",
  "Runs",
  "Backfill",
  "Requests",
  "Places",
  "Alerts",
] as const;
export type Section = (typeof SECTIONS)[number];

/** The path of a section's own page. */
export function sectionPath(section: Section): string {
  return section === "Overview" ? "" : section.toLowerCase();
}

/** What the browser's tab is called. */
export function titleOf(path: string): string {
  const route = routeOf(path);
  if (route === undefined) return "orchd";
  const { name, target } = route;
  // A pipeline and a run are called as they are: their names have no capitals.
  if (target === "") return `${name[0]!.toUpperCase()}${name.slice(1)} · orchd`;
  return name === "file" ? `${target}, its file · orchd` : `${target} · orchd`;
}

/** The route of a path; undefined where there is no page. */
export function routeOf(path: string): Route | undefined {
  const [first = "", second = "", third = ""] = path.split("/");
  const depth = path.split("/").length;
  const route = (section: Section, name: string, load: Route["load"], target = ""): Route => ({
    section,
    name,
    load,
    target,
  });
  if (path === "") return route("Overview", "overview", async () => Overview);
  if (first === "pipelines" && third === "file" && depth === 3)
    return route("Overview", "file", async () => (await import("./pages/file.tsx")).File, second);
  if (first === "pipelines" && second !== "" && depth === 2)
    return route(
      "Overview",
      "pipeline",
      async () => (await import("./pages/pipeline.tsx")).Pipeline,
      second,
    );
  if (first === "runs" && second !== "" && depth === 2)
    return route("Runs", "run", async () => (await import("./pages/run.tsx")).Run, second);
  if (depth > 1) return undefined;
  switch (first) {
    case "slots":
      return route("Slots", first, async () => (await import("./pages/slots.tsx")).Slots);
    case "runs":
      return route("Runs", first, async () => (await import("./pages/runs.tsx")).Runs);
    case "diff":
      return route("Runs", first, async () => (await import("./pages/diff.tsx")).Diff);
    case "backfill":
      return route("Backfill", first, async () => (await import("./pages/backfill.tsx")).Backfill);
    case "requests":
      return route("Requests", first, async () => (await import("./pages/requests.tsx")).Requests);
    case "places":
      return route("Places", first, async () => (await import("./pages/places.tsx")).Places);
    case "alerts":
      return route("Alerts", first, async () => (await import("./pages/alerts.tsx")).Alerts);
    default:
      return undefined;
  }
}

/** Pages that are loaded. Overview is with the first load. */
const loaded = new Map<string, ComponentType<PageProps>>([["overview", Overview]]);

/** The page of the present address. */
export function Page() {
  const route = routeOf(address.value.path);
  const [, setLoads] = useState(0);
  const [failed, setFailed] = useState("");
  const name = route?.name ?? "";
  useEffect(() => {
    if (route === undefined || loaded.has(name)) return;
    return loadLate(
      route.load,
      (page) => {
        loaded.set(name, page);
        setLoads((loads) => loads + 1);
      },
      () => setFailed(name),
    );
  }, [name]);
  if (route === undefined) return <NoPage />;
  const Shown = loaded.get(name);
  if (Shown !== undefined)
    return (
      <PageGuard key={`${name} ${route.target}`}>
        <Shown target={route.target} />
      </PageGuard>
    );
  if (failed === name)
    return (
      <ProblemBox
        problem={{
          status: 0,
          title: "This page could not be loaded",
          detail: "The server may have been updated since. Load the page again.",
        }}
      />
    );
  return <Waiting what="the page" />;
}

function NoPage() {
  return (
    <ProblemBox
      problem={{
        status: 404,
        title: "There is no such page",
        detail: `No page is at "/${address.value.path}". The pages are listed above.`,
      }}
    />
  );
}
