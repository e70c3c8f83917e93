/**
 * The dialog before anything is asked of the daemon: it says what will happen, and shows the
 * command that does the same. What became of the request is told in it, so that it is never a
 * guess. A request has one id: sent twice, it is made once.
 */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { get, post, type Problem } from "./api.ts";
import { Command } from "./command.tsx";
import { isDown } from "./here.ts";
import { refreshAll } from "./live.ts";
import { address, hrefOf } from "./location.ts";
import { ProblemBox } from "./problem-box.tsx";
import { safeText } from "./safe-text.ts";
import { sentence } from "./sentence.ts";

/** What is about to be asked. */
export interface Intent {
  /** `Run cert-check now`. */
  readonly title: string;
  /** What will happen, in whole sentences. */
  readonly what: ComponentChildren;
  /** The button's text: `Run it`. */
  readonly button: string;
  /** The same as a command, word by word. */
  readonly command: readonly string[];
  /** The body, as a request file has it. */
  readonly request: Readonly<Record<string, unknown>>;
}

const intent = signal<Intent | undefined>(undefined);

/** Opens the dialog. Nothing is asked until its button is pressed. */
export function confirmFirst(next: Intent): void {
  intent.value = next;
}

/** What the API says of a request. */
interface RequestView {
  readonly state: "open" | "accepted" | "refused";
  readonly run?: string | null;
  readonly reason?: string | null;
}

type Progress =
  | { readonly step: "ask" | "sending" }
  | { readonly step: "waiting" | "answered"; readonly id: string; readonly view?: RequestView }
  | { readonly step: "problem"; readonly problem: Problem };

/** How soon it is asked for the answer again: a busy daemon may take minutes. */
const FIRST_AGAIN_MS = 300;
const LAST_AGAIN_MS = 5_000;
const LATER = 1.2;

/** The dialog's place; the frame has it once. */
export function ConfirmDialog() {
  const now = intent.value;
  return now === undefined ? null : <OpenDialog key={now.title} intent={now} />;
}

function OpenDialog({ intent: mine }: { intent: Intent }) {
  const { title, what, button, command, request } = mine;
  const dialog = useRef<HTMLDialogElement>(null);
  const [id] = useState(chanceId);
  const [progress, setProgress] = useState<Progress>({ step: "ask" });
  // At once: a key that is pressed before it stands is the page's.
  useLayoutEffect(() => {
    dialog.current?.showModal();
  }, []);
  const close = (): void => {
    dialog.current?.close();
    // The browser tells of a close later: the next dialog may stand by then.
    if (intent.value === mine) intent.value = undefined;
  };
  // A link in it leads to another page: the dialog does not stand before that.
  const { path } = address.value;
  const opened = useRef(path);
  useEffect(() => {
    if (path !== opened.current) close();
  }, [path]);
  const send = async (): Promise<void> => {
    setProgress({ step: "sending" });
    const answer = await post(request, id);
    if (!answer.ok) return setProgress({ step: "problem", problem: answer.problem });
    await followRequest(answer.value.id, () => dialog.current !== null, setProgress);
    refreshAll();
  };
  const mayAsk = progress.step === "ask" || progress.step === "problem";
  return (
    <dialog ref={dialog} class="confirm" aria-labelledby="confirm-title" onClose={close}>
      <h2 id="confirm-title">{safeText(title)}</h2>
      <div class="what">{what}</div>
      {isDown.value && mayAsk && (
        <p>No daemon is up: the request waits, and the next daemon answers it.</p>
      )}
      <p class="note">The same in a terminal:</p>
      <Command words={command} />
      <Outcome progress={progress} />
      <div class="actions">
        <button type="button" class="button" onClick={close}>
          {mayAsk ? "Cancel" : "Close"}
        </button>
        {mayAsk && (
          <button type="button" class="button primary" onClick={() => void send()}>
            {button}
          </button>
        )}
      </div>
    </dialog>
  );
}

/** 128 bits of chance. `crypto.randomUUID` is missing where a page comes over plain HTTP. */
function chanceId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function Outcome({ progress }: { progress: Progress }) {
  if (progress.step === "ask") return null;
  if (progress.step === "problem") return <ProblemBox problem={progress.problem} />;
  return (
    <p role="status" class="outcome">
      {"id" in progress ? <Answered {...progress} /> : "The request is being left."}
    </p>
  );
}

function Answered({ id, view }: { id: string; view?: RequestView }) {
  const link = <a href={hrefOf(["requests"], { id })}>its request</a>;
  if (view === undefined || view.state === "open")
    return <>The request is left and waits for its answer: {link}.</>;
  const because = view.reason ? `: ${sentence(view.reason)}` : "";
  if (view.state === "refused")
    return (
      <>
        <b>Refused</b>
        {because}. See {link}.
      </>
    );
  return (
    <>
      <b>Accepted</b>
      {because}.{" "}
      {view.run ? <a href={hrefOf(["runs", view.run])}>{safeText(view.run)}</a> : <>See {link}.</>}
    </>
  );
}

/** Asks what became of the request until it is answered, or nobody looks at the dialog any more. */
async function followRequest(
  id: string,
  isOpen: () => boolean,
  tell: (progress: Progress) => void,
): Promise<void> {
  tell({ step: "waiting", id });
  for (let again = FIRST_AGAIN_MS; isOpen(); again = Math.min(again * LATER, LAST_AGAIN_MS)) {
    const answer = await get<RequestView>(`requests/${encodeURIComponent(id)}`);
    if (answer.ok && answer.value.state !== "open")
      return tell({ step: "answered", id, view: answer.value });
    const ms = again;
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}
