/** What stands around every page: where one is, what is up, where one can go. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { parseRunId } from "../../core/run-id.ts";
import type { Here } from "../../views/here.ts";
import { now, setServerTime } from "./clock.ts";
import { ConfirmDialog } from "./confirm.tsx";
import { here, isDown } from "./here.ts";
import { keys, useKeys } from "./keys.ts";
import { live } from "./live.ts";
import { address, go, hrefOf, withQuery } from "./location.ts";
import { Page, routeOf, SECTIONS, sectionPath, titleOf } from "./routes.tsx";
import { safeText } from "./safe-text.ts";
import { Segments } from "./segments.tsx";
import { nextTheme, theme } from "./theme.ts";
import { closeTip, TipBox } from "./tip.tsx";
import { useView } from "./view.ts";
import { comingText, durationText } from "./words.ts";
import { MINE, offered, shortName } from "./zone.ts";

export function Frame() {
  const { value, problem } = useView<Here>("here", { none: true });
  const [isListed, setListed] = useState(false);
  useEffect(() => {
    if (value === undefined) return;
    here.value = value;
    setServerTime(value.at);
  }, [value]);
  const { path } = address.value;
  useEffect(() => {
    document.title = titleOf(path);
    closeTip();
  }, [path]);
  useKeys([{ key: "?", does: "all keys", run: () => setListed(true) }]);
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        To the page
      </a>
      <Header isGone={problem?.status === 0} />
      <main id="main" tabIndex={-1}>
        <Notices isGone={problem?.status === 0} />
        <Page />
      </main>
      <TipBox />
      <ConfirmDialog />
      {isListed && <KeyList onClose={() => setListed(false)} />}
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLElement>("#main")?.focus();
}

function Header({ isGone }: { isGone: boolean }) {
  const section = routeOf(address.value.path)?.section;
  const row = useRef<HTMLElement>(null);
  // On a phone the navigation scrolls sideways: the present entry is brought into sight.
  useEffect(() => {
    const current = row.current?.querySelector<HTMLElement>("[aria-current]");
    if (row.current !== null && current) row.current.scrollLeft = current.offsetLeft - 24;
  }, [section]);
  return (
    <header class="top">
      <a class="logo" href={hrefOf([])}>
        <Logo />
        orchd
      </a>
      <nav aria-label="Pages" ref={row}>
        {SECTIONS.map((one) => (
          <a
            key={one}
            href={hrefOf([sectionPath(one)])}
            aria-current={one === section ? "page" : undefined}
          >
            {one}
          </a>
        ))}
      </nav>
      <div class="top-right">
        {here.value !== undefined && (
          <span class="host">
            {safeText(here.value.host)} · {safeText(here.value.root)}
          </span>
        )}
        <DaemonState isGone={isGone} />
        <Search />
        <ZoneSwitch />
        <ThemeButton />
      </div>
    </header>
  );
}

function Logo() {
  return (
    <svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <rect x="1" y="8" width="4" height="11" rx="1" fill="var(--completed)" />
      <rect x="8" y="3" width="4" height="16" rx="1" fill="var(--running)" />
      <rect
        x="15.7"
        y="5.7"
        width="3.6"
        height="12.6"
        rx="1"
        fill="none"
        stroke="var(--missed)"
        stroke-width="1.4"
        stroke-dasharray="2.5 2"
      />
    </svg>
  );
}

function DaemonState({ isGone }: { isGone: boolean }) {
  const daemon = here.value?.daemon;
  if (here.value === undefined || isGone)
    return (
      <span class="daemon unknown">
        <b aria-hidden="true" />
        {isGone ? "no answer" : "…"}
      </span>
    );
  if (!daemon)
    return (
      <span class="daemon down">
        <b aria-hidden="true" />
        daemon down
      </span>
    );
  const up = Math.max(0, now.value - Date.parse(daemon.since));
  return (
    <span class="daemon up" title={`pid ${daemon.pid}, orchd ${daemon.version}`}>
      <b aria-hidden="true" />
      daemon up <small>{durationText(Math.floor(up / 1_000) * 1_000)}</small>
    </span>
  );
}

/** What every page says while something is not as it should be. */
function Notices({ isGone }: { isGone: boolean }) {
  const { state, retryAt, problem } = live.value;
  return (
    <div class="notices" role="status">
      {isDown.value && (
        <p class="notice">
          <b>No daemon is up.</b> What you see is what the ledgers say. Requests wait for the next
          daemon.
        </p>
      )}
      {(state === "lost" || isGone) && (
        <p class="notice">
          <b>Not live.</b> {problem?.detail ?? "The page's server does not answer."}{" "}
          {retryAt !== undefined && `It is tried again ${comingText(retryAt, now.value)}.`}
        </p>
      )}
    </div>
  );
}

function Search() {
  const input = useRef<HTMLInputElement>(null);
  useKeys([{ key: "/", does: "search", run: () => input.current?.focus() }]);
  const search = (event: Event): void => {
    event.preventDefault();
    const text = input.current?.value.trim() ?? "";
    if (text === "" || input.current === null) return;
    // The words stand on the page of runs from here on, and keys are keys again.
    input.current.value = "";
    input.current.blur();
    go(parseRunId(text) === undefined ? hrefOf(["runs"], { q: text }) : hrefOf(["runs", text]));
  };
  return (
    <form class="search" role="search" onSubmit={search}>
      <input
        ref={input}
        type="search"
        name="q"
        placeholder="Find a run, a step, a reason"
        aria-label="Find a run, a step, a reason"
        autocomplete="off"
        onKeyDown={(event) => event.key === "Escape" && input.current?.blur()}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

function ZoneSwitch() {
  const chosen = address.value.query.get("zone") ?? "UTC";
  const shown = offered.value ?? (chosen !== "UTC" && chosen !== "mine" ? chosen : undefined);
  const choices = [
    { text: "UTC", zone: undefined, label: "UTC: times in UTC" },
    ...(shown === undefined
      ? []
      : [
          {
            text: shortName(shown),
            zone: shown,
            label: `${shortName(shown)}: times as in ${shown}`,
          },
        ]),
    { text: "mine", zone: "mine", label: `mine: times as here, in ${MINE}` },
  ];
  return (
    <Segments
      isSmall
      label="Time zone"
      segments={choices.map(({ text, zone, label }) => ({
        text,
        label,
        href: withQuery({ zone }),
        isChosen: chosen === (zone ?? "UTC"),
      }))}
    />
  );
}

const THEME_SIGNS = { auto: "◐", light: "○", dark: "●" } as const;

function ThemeButton() {
  const label = `Colours: ${theme.value === "auto" ? "as the system has them" : theme.value}`;
  return (
    <button type="button" class="theme" aria-label={label} title={label} onClick={nextTheme}>
      <span aria-hidden="true">{THEME_SIGNS[theme.value]}</span>
    </button>
  );
}

function KeyList({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class="key-list" aria-labelledby="keys-title" onClose={onClose}>
      <h2 id="keys-title">Keys</h2>
      <dl>
        {keys.value.flat().map(({ key, does }) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <div class="actions">
        <button type="button" class="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}
